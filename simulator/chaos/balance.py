"""Whether the books balance (research numbers in brackets): what must be true at any moment."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.bookkeeping import place
from scheduler.memory_books import Books
from scheduler.states import ACTIVE, TERMINAL, Job, JobState
from simulator.chaos.violation import require


def check_balance(
    books: Books, gone_users: Mapping[str, int], gone_groups: Mapping[str, int]
) -> None:
    """Look at all of the books.

    Args:
        books: as they are now.
        gone_users: what jobs cost that were trimmed, by user.
        gone_groups: the same by group.

    Raises:
        Violation: they do not balance.
    """
    jobs = {job_id: record.job for job_id, record in books.records.items()}
    active = {job_id: job for job_id, job in jobs.items() if job.state in ACTIVE}
    _check_places(books, jobs, active)
    _check_reservations(books, active)
    _check_charges(books, jobs, gone_users, gone_groups)


def _check_places(books: Books, jobs: Mapping[str, Job], active: Mapping[str, Job]) -> None:
    require(books.inflight.keys() == active.keys(), "a lease without an active job, or none [I3]")
    queued = running = ended = 0
    for user in books.users.values():
        for held, places in ((False, user.queue), (True, user.held)):
            queued += len(places)
            require(places == sorted(places), f"{user.name}: a queue out of order [I5]")
            for at, job_id in places:
                job = jobs[job_id]
                found = (job.state, job.held, place(job), job.user)
                right = found == (JobState.QUEUED, held, at, user.name)
                require(right, f"{job_id}: at {at} in a queue as {found} [I5]")
        running += len(user.active)
        require(all(i in active for i in user.active), f"{user.name}: lists idle jobs [I4]")
        ended += len(user.done) + len(user.hidden)
        for job_id in (*user.done, *user.hidden):
            require(jobs[job_id].state in TERMINAL, f"{job_id}: listed as ended and is not [I6]")
    waiting = sum(1 for job in jobs.values() if job.state is JobState.QUEUED)
    require(queued == waiting, "a QUEUED job in no queue, or in two [I5]")
    require(running == len(active), "an active job on no list, or on two [I4]")
    require(ended == len(jobs) - waiting - len(active), "an ended job on no list, or on two [I6]")


def _check_reservations(books: Books, active: Mapping[str, Job]) -> None:
    busy = {worker.job: worker.id for worker in books.workers.values() if worker.job}
    where = {job.id: job.worker for job in active.values()}
    require(busy == where, f"workers have {busy}, jobs say {where} [I4]")
    promised = {
        (gpu, worker): bytes_
        for gpu, holds in books.holds.items()
        for worker, bytes_ in holds.reserved.items()
    }
    owed = {(job.gpu, job.worker): job.reserved_bytes for job in active.values()}
    require(promised == owed, f"reserved {promised}, active jobs have {owed} [I2]")
    for gpu_id, gpu in books.gpus.items():
        total = sum(bytes_ for (home, _), bytes_ in promised.items() if home == gpu_id)
        require(0 <= total <= gpu.total_bytes, f"{gpu_id}: {total} bytes are promised [I1]")


def _check_charges(
    books: Books,
    jobs: Mapping[str, Job],
    gone_users: Mapping[str, int],
    gone_groups: Mapping[str, int],
) -> None:
    of_users, of_groups = dict(gone_users), dict(gone_groups)
    for job in jobs.values():
        of_users[job.user] = of_users.get(job.user, 0) + job.user_charge + job.user_cost
        of_groups[job.group] = of_groups.get(job.group, 0) + job.group_charge + job.group_cost
    for user in books.users.values():
        owed = of_users.get(user.name, 0)
        require(user.charged == owed, f"{user.name}: charged {user.charged}, owes {owed} [I11]")
    for name, group in books.groups.items():
        owed = of_groups.get(name, 0)
        require(group.charged == owed, f"{name}: charged {group.charged}, owes {owed} [I11]")
