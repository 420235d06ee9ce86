"""What must be true of a ledger's books at any time (research numbers in brackets)."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.bookkeeping import place
from scheduler.ledger import Event, EventKind
from scheduler.states import ACTIVE, TERMINAL, TRANSITIONS, Job, JobState
from tests.property.ledger.worlds import View

#: transitions that leave the state as it is
_SAME_STATE = {EventKind.HELD, EventKind.UNHELD, EventKind.MOVED, EventKind.PREEMPTING}


def check_books(view: View, capacity: int) -> None:
    """Raises AssertionError where they do not balance."""
    _check_places(view)
    _check_reservations(view, capacity)
    _check_counters(view)
    _check_events(view.jobs, view.events)


def _check_places(view: View) -> None:
    jobs = view.jobs.values()
    active = sorted(job.id for job in jobs if job.state in ACTIVE)
    assert sorted(view.inflight) == active, "inflight ⇔ active [I3]"
    listed = sorted(job_id for ids in view.active.values() for job_id in ids)
    assert listed == active, "in one user's active list [I4]"
    assert view.queues == _queued(view, held=False), "in one queue, at its place ⇔ QUEUED [I5]"
    assert view.held == _queued(view, held=True), "held jobs keep their places [I5]"
    ended = {job.id for job in jobs if job.state in TERMINAL}
    assert {job_id for ids in view.ended.values() for job_id in ids} == ended


def _queued(view: View, *, held: bool) -> dict[str, list[str]]:
    places: dict[str, list[str]] = {}
    for job in sorted(view.jobs.values(), key=place):
        if job.state is JobState.QUEUED and job.held is held:
            places.setdefault(job.user, []).append(job.id)
    return places


def _check_reservations(view: View, capacity: int) -> None:
    promised: dict[str, int] = {}
    for gpu, bytes_ in view.reserved.values():
        promised[gpu] = promised.get(gpu, 0) + bytes_
    assert all(0 <= bytes_ <= capacity for bytes_ in promised.values()), "over-commit [I1]"
    active = [job for job in view.jobs.values() if job.state in ACTIVE]
    assert view.busy == {job.worker: job.id for job in active}, "one worker ⇔ active [I4]"
    assert len({job.worker for job in active}) == len(active), "two jobs on one worker"
    assert view.reserved == {job.worker: (job.gpu, job.reserved_bytes) for job in active}, (
        "reserved = Σ of active jobs [I2]"
    )


def _check_counters(view: View) -> None:
    assert view.charged == _sums(view.jobs, "user"), "charges of users [I11]"
    assert view.group_charged == _sums(view.jobs, "group"), "charges of groups [I11]"
    backlogged: dict[str, dict[str, int]] = {}
    for user, ids in view.queues.items():
        groups = {view.jobs[job_id].group for job_id in ids}
        assert len(groups) == 1, "a user's unfinished jobs belong to one group"
        backlogged.setdefault(groups.pop(), {})[user] = view.virtual.get(user, 0)
    assert view.turns == backlogged, "a turn ⇔ a job that may start, at the user's counter"
    assert {group: view.group_virtual.get(group, 0) for group in backlogged} == {
        group: view.groups.get(group, 0) for group in backlogged
    }, "a group's turn stands at its counter"
    assert set(view.groups) <= set(backlogged)
    for job in view.jobs.values():
        if job.state not in ACTIVE:
            assert (job.user_charge, job.group_charge, job.charge) == (0, 0, 0)
            assert not job.preempting


def _sums(jobs: Mapping[str, Job], level: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for job in jobs.values():
        charged = getattr(job, f"{level}_charge") + getattr(job, f"{level}_cost")
        owner = getattr(job, level)
        sums[owner] = sums.get(owner, 0) + charged
    return {owner: total for owner, total in sums.items() if total}


def _check_events(jobs: Mapping[str, Job], events: list[Event]) -> None:
    """The stream replays to the same states by allowed steps, one per rev [I8, I18]."""
    states: dict[str, JobState] = {}
    held: dict[str, bool] = {}
    steps: dict[str, int] = {}
    claimed: set[tuple[str, int]] = set()
    for event in events:
        if not event.job or event.state is None:
            continue
        before = states.get(event.job)
        if event.kind in _SAME_STATE:
            assert event.state is before
        else:
            allowed = {JobState.QUEUED} if before is None else TRANSITIONS[before]
            assert event.state in allowed, f"{before} → {event.state}"
        if event.kind is EventKind.CLAIMED:
            assert (event.job, event.attempt) not in claimed, "claimed twice [I8]"
            claimed.add((event.job, event.attempt))
        if event.kind in (EventKind.HELD, EventKind.UNHELD):
            held[event.job] = event.kind is EventKind.HELD
        states[event.job] = event.state
        steps[event.job] = steps.get(event.job, 0) + 1
    assert states == {job.id: job.state for job in jobs.values()}
    assert steps == {job.id: job.rev for job in jobs.values()}
    for job in jobs.values():
        if job.state is JobState.QUEUED:
            assert held.get(job.id, False) is job.held
