"""A random walk over a ledger that checks the books after every step.

Rules draw mostly *eligible* jobs: drawing any job lets planted faults live
through hundreds of examples, because nearly every call is refused for a
reason that is not the one under test.
"""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scheduler.ledger import (
    Admitted,
    Claimed,
    Ending,
    Grant,
    Refusal,
    Renewed,
    Settled,
    Submitted,
    Trust,
)
from scheduler.probed import Probed
from scheduler.states import (
    ACTIVE,
    TERMINAL,
    FailReason,
    Job,
    JobState,
    Lane,
    WaitReason,
    Worker,
)
from tests.factories import GIB, gpu, new_job, outcome, report, worker
from tests.property.ledger.invariants import check_books
from tests.property.ledger.worlds import View, World

CAPACITY = 20 * GIB
WORKERS = ("host-0", "host-1", "host-2", "host-3")
GROUPS = {"ann": "film", "bob": "film", "cy": "games"}
LEASE_MS = 600_000
PASSED_MS = -1
users = st.sampled_from(tuple(GROUPS))
picks = st.integers(0, 10**6)
#: microseconds of a GPU
charges = st.integers(1, 40_000_000)
endings = st.sampled_from(
    [(ending, None) for ending in Ending if ending is not Ending.FAILED]
    + [(Ending.FAILED, reason) for reason in (FailReason.NODE_ERROR, FailReason.HUNG)]
)
#: what a probe told of an attempt
PROBED = (None, Probed(), Probed(needed_bytes=GIB, left_bytes=2 * GIB, loads=1, fallback="cpu"))


class LedgerMachine(RuleBasedStateMachine):
    """Two GPUs with two workers each, three users of two groups, leaders that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.world = self.new_world()
        self.epoch = 0
        #: every (job, attempt, worker) there ever was
        self.attempts: list[tuple[str, int, str]] = []
        self.terminal: dict[str, Job] = {}
        self.now = View()
        self.submitted = 0

    def new_world(self) -> World:
        """The ledger that is walked over."""
        raise NotImplementedError

    def do(self, call: str, *args: Any, **options: Any) -> Any:
        """One call of the ledger; the view is as it was before."""
        return self.world.do(call, *args, **options)

    def advance(self, ms: int) -> None:
        """Let time pass, where the clock is ours."""
        self.world.advance(ms)

    def look(self) -> View:
        """What the books hold now."""
        return self.world.view()

    def teardown(self) -> None:
        self.world.close()

    # ── reading ──────────────────────────────────────────────────────────────

    def in_state(self, *states: JobState) -> list[Job]:
        return [job for job in self.now.jobs.values() if job.state in states]

    def waiting(self, *, held: bool = False) -> list[Job]:
        return [job for job in self.in_state(JobState.QUEUED) if job.held is held]

    def worker(self, pick: int, *, idle: bool) -> Worker:
        workers = list(self.do("pool").workers.values())
        fitting = [one for one in workers if not one.job] if idle else workers
        found: Worker = (fitting or workers)[pick % len(fitting or workers)]
        return found

    def changes_nothing(self, expected: object, call: str, *args: Any, **options: Any) -> None:
        before = self.world.dump()
        assert self.do(call, *args, **options) == expected
        assert self.world.dump() == before, "a refused call changed something [I9]"

    # ── rules ────────────────────────────────────────────────────────────────

    @initialize()
    def open(self) -> None:
        self._heartbeat(0)
        self._new_leader()
        for n in range(5):
            self.submit(list(GROUPS)[n % 3], need=8 + n, front=False, elsewhere=False)

    @rule(ms=st.integers(0, 3000), used=st.integers(0, 6), leader=st.booleans())
    def time_passes(self, ms: int, used: int, leader: bool) -> None:
        self.advance(ms)
        self._heartbeat(used)
        if leader:
            self._new_leader()

    def _heartbeat(self, used: int) -> None:
        workers = [
            worker(
                name,
                f"gpu-{n // 2}",
                used_bytes=used * GIB * (n % 2),
                catalogue=f"catalogue-{used % (n + 2)}",
            )
            for n, name in enumerate(WORKERS)
        ]
        self.do("report", report(workers=workers, gpus=[gpu("gpu-0"), gpu("gpu-1")]))

    def _new_leader(self) -> None:
        epoch = self.do("lead", f"leader-{self.epoch}", PASSED_MS)
        assert epoch > self.epoch
        self.epoch = epoch

    @rule(user=users, need=st.integers(6, 16), front=st.booleans(), elsewhere=st.booleans())
    def submit(self, user: str, need: int, front: bool, elsewhere: bool) -> None:
        job = new_job(
            user,
            id=f"job-{self.submitted}",
            group="elsewhere" if elsewhere and self.submitted % 4 == 0 else GROUPS[user],
            need_bytes=need * GIB,
            front=front,
            lane=Lane.BATCH if self.submitted % 3 == 0 else Lane.INTERACTIVE,
            idempotency_key=f"key-{self.submitted}",
            requires="abcdefgh" * (self.submitted % 3),
        )
        self.submitted += 1
        before = self.look()
        assert isinstance(self.do("submit", job, b"{}", max_queued=None), Submitted)
        self._check_lift(user, before)
        twice = self.do("submit", new_job(user, idempotency_key=job.idempotency_key), b"{}",
                        max_queued=None)  # fmt: skip
        assert twice.job_id == job.id, "one key, one job [I10]"

    def _check_lift(self, user: str, before: View) -> None:
        """Who becomes backlogged stands no lower than the least of those who wait."""
        after = self.look()
        (group,) = {after.jobs[id_].group for id_ in after.queues[user]}
        waiting = before.turns.get(group, {})
        own = before.virtual.get(user, 0)
        if user not in waiting:
            own = max(own, min(waiting.values(), default=before.group_clock.get(group, 0)))
        assert after.virtual.get(user, 0) == own, "the user's lift"
        own = before.group_virtual.get(group, 0)
        if group not in before.groups:
            own = max(own, min(before.groups.values(), default=before.clock))
        assert after.group_virtual.get(group, 0) == own, "the group's lift"

    @precondition(lambda self: self.waiting())
    @rule(
        pick=picks,
        idle=st.sampled_from((True, True, False)),
        again=st.booleans(),
        stale=st.booleans(),
        charge=charges,
    )
    def admit(self, pick: int, idle: bool, again: bool, stale: bool, charge: int) -> None:
        queued = self.waiting()
        if again:  # second attempts are where late agents do harm
            queued = [job for job in queued if job.attempt] or queued
        job, to = queued[pick % len(queued)], self.worker(pick, idle=idle)
        if stale:
            grant = Grant(bytes=GIB, capacity_bytes=CAPACITY)
            self.changes_nothing(
                Refusal.STALE_LEADER, "admit", self.epoch - 1, job, to, grant, LEASE_MS
            )
        self._admit(job, to, charge)

    def _admit(self, job: Job, to: Worker, charge: int) -> None:
        passed = tuple(other.id for other in self.now.jobs.values() if other.id != job.id)[:6]
        grant = Grant(
            bytes=job.need_bytes,
            capacity_bytes=CAPACITY,
            seconds=7.5,
            load_seconds=1.5,
            user_charge=charge,
            group_charge=charge // 2,
            charge=3 * charge,
            passed=passed,
            trial=charge % 2 == 1,
        )
        before = self.look()
        reply = self.do("admit", self.epoch, job, to, grant, LEASE_MS)
        after = self.look()
        if not isinstance(reply, Admitted):
            assert reply in (Refusal.CONFLICT, Refusal.NO_FIT, Refusal.WORKER_GONE)
            return
        assert reply.attempt == job.attempt + 1
        self.attempts.append((job.id, reply.attempt, to.id))
        for one in passed:
            was = before.jobs[one]
            grew = int(was.state is JobState.QUEUED and not was.held)
            assert after.jobs[one].skips == was.skips + grew, "passed jobs count it"

    @precondition(lambda self: self.waiting(held=True))
    @rule(pick=picks)
    def admit_a_held_job(self, pick: int) -> None:
        held = self.waiting(held=True)
        grant = Grant(bytes=GIB, capacity_bytes=CAPACITY)
        idle = self.worker(pick, idle=True)
        job = held[pick % len(held)]
        self.changes_nothing(Refusal.CONFLICT, "admit", self.epoch, job, idle, grant, LEASE_MS)

    @precondition(lambda self: self.in_state(JobState.QUEUED))
    @rule(pick=picks, held=st.booleans())
    def hold(self, pick: int, held: bool) -> None:
        waiting = self.waiting(held=not held) or self.in_state(JobState.QUEUED)
        job = waiting[pick % len(waiting)]
        before = self.look()
        reply = self.do("hold", job.user, job.id, held=held)
        assert reply.changed is (job.held is not held)
        if reply.changed and not held:
            self._check_lift(job.user, before)

    @precondition(lambda self: self.in_state(JobState.QUEUED))
    @rule(pick=picks, front=st.booleans())
    def move(self, pick: int, front: bool) -> None:
        waiting = self.in_state(JobState.QUEUED)
        job = waiting[pick % len(waiting)]
        assert self.do("move", job.user, job.id, front=front).changed
        view = self.look()
        listed = (view.held if job.held else view.queues)[job.user]
        places = [one for one in listed if view.jobs[one].lane is job.lane]
        assert places[0 if front else -1] == job.id

    @precondition(lambda self: self.waiting())
    @rule(pick=picks, words=st.sampled_from(("6 GiB missing", "ann's job goes first")))
    def explain(self, pick: int, words: str) -> None:
        waiting = self.in_state(JobState.QUEUED)
        some = {
            job.id: (WaitReason.NO_HEADROOM, words, "gpu") for job in waiting[pick % len(waiting) :]
        }
        self.do("explain", self.epoch - 1, {id_: (WaitReason.CAP, "stale", "") for id_ in some})
        self.do("explain", self.epoch, some)

    @precondition(lambda self: self.waiting())
    @rule(pick=picks, at_ms=st.integers(0, 10**6))
    def foresee(self, pick: int, at_ms: int) -> None:
        waiting = self.in_state(JobState.QUEUED)
        starts = {job.id: (at_ms, 2 * at_ms) for job in waiting[pick % len(waiting) :]}
        self.do("foresee", self.epoch - 1, dict.fromkeys(starts, (1, 1)), Trust())
        self.do("foresee", self.epoch, starts, Trust(coverage=0.5, scored=pick))

    @precondition(lambda self: self.in_state(JobState.QUEUED))
    @rule(pick=picks)
    def refuse(self, pick: int) -> None:
        waiting = self.in_state(JobState.QUEUED)
        job = waiting[pick % len(waiting)]
        if pick % 4 == 0:
            assert self.do("refuse", self.epoch, job, FailReason.EXPIRED, "too late")

    @precondition(lambda self: self.in_state(JobState.RESERVED))
    @rule(pick=picks)
    def claim(self, pick: int) -> None:
        reserved = self.in_state(JobState.RESERVED)
        job = reserved[pick % len(reserved)]
        uuid = f"{job.id}/{job.attempt}"
        reply = self.do("claim", job.id, job.attempt, job.worker, uuid, "sid", LEASE_MS)
        assert isinstance(reply, Claimed)

    @precondition(lambda self: self.in_state(JobState.RUNNING))
    @rule(pick=picks)
    def preempt(self, pick: int) -> None:
        running = self.in_state(JobState.RUNNING)
        job = running[pick % len(running)]
        self.changes_nothing(False, "preempt", self.epoch - 1, job)
        assert self.do("preempt", self.epoch, job)

    @precondition(lambda self: self.in_state(*ACTIVE))
    @rule(pick=picks, end=endings, ran=st.floats(0, 30), told=st.sampled_from(PROBED))
    def settle(
        self,
        pick: int,
        end: tuple[Ending, FailReason | None],
        ran: float,
        told: Probed | None,
    ) -> None:
        active = self.in_state(JobState.RUNNING, JobState.CANCELLING) or self.in_state(*ACTIVE)
        job = active[pick % len(active)]
        ending, reason = end
        closing = outcome(ending, reason=reason, retry_bytes=15 * GIB, run_seconds=ran, probed=told)
        before = self.look()
        reply = self.do("settle", job.id, job.attempt, closing)
        assert isinstance(reply, Settled) or job.state is JobState.RESERVED
        if isinstance(reply, Settled):
            unpaid = ending in (Ending.LOST, Ending.RETURNED) or job.state is JobState.RESERVED
            self._check_pay(job, 0.0 if unpaid else ran, before)
            self._check_failures(job, end, before)

    def _check_pay(self, job: Job, ran: float, before: View) -> None:
        """The charge gives way to the cost, and nothing is lifted on the way back."""
        after = self.look()
        cost = math.floor(job.user_charge * ran / 7.5 + 0.5)
        assert after.jobs[job.id].user_cost == job.user_cost + cost
        whole = math.floor(job.charge * ran / 7.5 + 0.5)
        assert after.jobs[job.id].cost == job.cost + whole
        moved = cost - job.user_charge
        assert after.virtual.get(job.user, 0) == before.virtual.get(job.user, 0) + moved
        assert after.charged.get(job.user, 0) == before.charged.get(job.user, 0) + moved

    def _check_failures(
        self, job: Job, end: tuple[Ending, FailReason | None], before: View
    ) -> None:
        was, now = (view.failures.get(job.worker, 0) for view in (before, self.look()))
        if end[0] is Ending.SUCCEEDED:
            assert now == 0
        elif end[0] is Ending.LOST or end[1] is FailReason.HUNG:
            assert now in (was, was + 1)
        else:
            assert now == was

    @precondition(lambda self: self.stale_attempts())
    @rule(pick=picks, ending=st.sampled_from(list(Ending)))
    def act_on_a_past_attempt(self, pick: int, ending: Ending) -> None:
        stale = self.stale_attempts()
        job_id, attempt, worker_id = stale[pick % len(stale)]
        before = self.world.dump()
        settled = self.do("settle", job_id, attempt, outcome(ending))
        assert isinstance(settled, Settled) or settled is Refusal.FENCED
        assert self.do("renew", job_id, attempt, LEASE_MS) is Refusal.FENCED
        claimed = self.do("claim", job_id, attempt, worker_id, "late", "sid", LEASE_MS)
        assert claimed is Refusal.FENCED
        assert self.world.dump() == before, "a past attempt changed something [I9]"

    @precondition(lambda self: self.in_state(JobState.QUEUED, *ACTIVE))
    @rule(pick=picks, own=st.sampled_from((True, True, True, False)))
    def cancel(self, pick: int, own: bool) -> None:
        unfinished = self.in_state(JobState.QUEUED, *ACTIVE)
        job = unfinished[pick % len(unfinished)]
        before = self.world.dump()
        reply = self.do("cancel", job.user if own else "mallory", job.id)
        if not own:
            assert reply.state is None
            assert self.world.dump() == before, "somebody else's cancel changed something"

    @precondition(lambda self: self.in_state(*ACTIVE))
    @rule(pick=picks, again=st.booleans(), charge=charges)
    def lapse_and_reap(self, pick: int, again: bool, charge: int) -> None:
        active = self.in_state(*ACTIVE)
        job = active[pick % len(active)]
        assert isinstance(self.do("renew", job.id, job.attempt, PASSED_MS), Renewed)
        self.changes_nothing([], "reap", self.epoch - 1, 2)
        before = self.look()
        reaped = self.do("reap", self.epoch, 2)
        assert [one.job_id for one in reaped] == [job.id]
        self._check_pay(job, 0.0, before)
        if again and reaped[0].state is JobState.QUEUED:
            self.now = self.look()
            self._admit(self.now.jobs[job.id], self.worker(pick, idle=True), charge)

    def stale_attempts(self) -> list[tuple[str, int, str]]:
        """Attempts that are over; those of jobs that run again, if there are any."""
        jobs = self.now.jobs
        over = [
            one
            for one in self.attempts
            if one[0] in jobs
            and (jobs[one[0]].attempt != one[1] or jobs[one[0]].state not in ACTIVE)
        ]
        return [one for one in over if jobs[one[0]].state in ACTIVE] or over

    @invariant()
    def the_books_balance(self) -> None:
        view = self.look()
        for job_id, before in self.now.jobs.items():
            assert view.jobs[job_id].rev >= before.rev, "rev fell [I7]"
            assert view.jobs[job_id].attempt >= before.attempt, "attempt fell [I7]"
        for job_id, ended in self.terminal.items():
            assert view.jobs[job_id] == ended, "an ended job changed [I6]"
        self.now = view
        self.terminal |= {job.id: job for job in view.jobs.values() if job.state in TERMINAL}
        check_books(view, CAPACITY)
