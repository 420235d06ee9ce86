"""A random walk over the ledger that checks the books after every step.

Rules draw mostly *eligible* jobs: drawing any job lets planted faults live
through hundreds of examples, because nearly every call is refused for a
reason that is not the one under test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, ClassVar, TypeVar

import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scheduler.ledger import Admitted, Claimed, Ending, Refusal, Renewed, Settled, Submitted
from scheduler.redis_codec import decode_event, decode_job
from scheduler.redis_ledger import RedisLedger
from scheduler.states import ACTIVE, TERMINAL, TRANSITIONS, Job, JobState, Worker
from tests.factories import GIB, gpu, new_job, outcome, report, worker

T = TypeVar("T")
Dump = dict[str, Any]
CAPACITY = 20 * GIB
WORKERS = ("host-0", "host-1", "host-2", "host-3")
LEASE_MS = 600_000
PASSED_MS = -1
users = st.sampled_from(("ann", "bob"))
picks = st.integers(0, 10**6)


class LedgerMachine(RuleBasedStateMachine):
    """Two GPUs with two workers each, two users, leaders that come and go."""

    url: ClassVar[str]
    scripts: ClassVar[Mapping[str, str] | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.client: Any = redis.Redis.from_url(self.url)
        self.client.flushdb()
        self.ledger = RedisLedger.connect(self.url, "p", scripts=self.scripts, patience_s=1)
        self.epoch = 0
        #: every (job, attempt, worker) there ever was
        self.attempts: list[tuple[str, int, str]] = []
        self.jobs: dict[str, Job] = {}
        self.terminal: dict[str, Any] = {}
        self.submitted = 0

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    def teardown(self) -> None:
        self.run(self.ledger.close())
        self.client.close()
        self.runner.close()

    # ── reading ──────────────────────────────────────────────────────────────

    def dump(self) -> Dump:
        read = {
            b"hash": self.client.hgetall,
            b"set": self.client.smembers,
            b"list": lambda key: self.client.lrange(key, 0, -1),
            b"zset": lambda key: self.client.zrange(key, 0, -1, withscores=True),
            b"stream": self.client.xrange,
            b"string": self.client.get,
        }
        keys = sorted(self.client.keys("vg:{p}:*"))
        return {key.decode()[7:]: read[self.client.type(key)](key) for key in keys}

    def in_state(self, *states: JobState) -> list[Job]:
        return [job for job in self.jobs.values() if job.state in states]

    def worker(self, pick: int, *, idle: bool) -> Worker:
        workers = list(self.run(self.ledger.pool()).workers.values())
        fitting = [one for one in workers if not one.job] if idle else workers
        return (fitting or workers)[pick % len(fitting or workers)]

    def changes_nothing(self, call: Coroutine[Any, Any, T], expected: object) -> None:
        before = self.dump()
        assert self.run(call) == expected
        assert self.dump() == before, "a refused call changed something"

    # ── rules ────────────────────────────────────────────────────────────────

    @initialize()
    def open(self) -> None:
        self._heartbeat(0)
        self._new_leader()
        for n in range(4):
            self.submit("ann" if n % 2 else "bob", need=8 + n, front=False)

    @rule(used=st.integers(0, 6), leader=st.booleans())
    def time_passes(self, used: int, leader: bool) -> None:
        if leader:
            self._new_leader()
        else:
            self._heartbeat(used)

    def _heartbeat(self, used: int) -> None:
        workers = [
            worker(name, f"gpu-{n // 2}", used_bytes=used * GIB * (n % 2))
            for n, name in enumerate(WORKERS)
        ]
        self.run(self.ledger.report(report(workers=workers, gpus=[gpu("gpu-0"), gpu("gpu-1")])))

    def _new_leader(self) -> None:
        epoch = self.run(self.ledger.lead(f"leader-{self.epoch}", PASSED_MS))
        assert epoch is not None
        assert epoch > self.epoch
        self.epoch = epoch

    @rule(user=users, need=st.integers(6, 16), front=st.booleans())
    def submit(self, user: str, need: int, front: bool) -> None:
        job = new_job(user, id=f"job-{self.submitted}", need_bytes=need * GIB, front=front)
        self.submitted += 1
        reply = self.run(self.ledger.submit(job, b"{}", max_queued=None))
        assert isinstance(reply, Submitted)

    @precondition(lambda self: self.in_state(JobState.QUEUED))
    @rule(
        pick=picks,
        idle=st.sampled_from((True, True, False)),
        again=st.booleans(),
        stale=st.booleans(),
    )
    def admit(self, pick: int, idle: bool, again: bool, stale: bool) -> None:
        queued = self.in_state(JobState.QUEUED)
        if again:  # second attempts are where late agents do harm
            queued = [job for job in queued if job.attempt] or queued
        job, to = queued[pick % len(queued)], self.worker(pick, idle=idle)
        if stale:
            call = self.ledger.admit(self.epoch - 1, job, to, GIB, CAPACITY, LEASE_MS)
            self.changes_nothing(call, Refusal.STALE_LEADER)
        self._admit(job, to)

    def _admit(self, job: Job, to: Worker) -> None:
        reply = self.run(self.ledger.admit(self.epoch, job, to, job.need_bytes, CAPACITY, LEASE_MS))
        if isinstance(reply, Admitted):
            assert reply.attempt == job.attempt + 1
            self.attempts.append((job.id, reply.attempt, to.id))
        else:
            assert reply in (Refusal.CONFLICT, Refusal.NO_FIT, Refusal.WORKER_GONE)

    @precondition(lambda self: self.in_state(JobState.RESERVED))
    @rule(pick=picks)
    def claim(self, pick: int) -> None:
        reserved = self.in_state(JobState.RESERVED)
        job = reserved[pick % len(reserved)]
        uuid = f"{job.id}/{job.attempt}"
        call = self.ledger.claim(job.id, job.attempt, job.worker, uuid, "sid", LEASE_MS)
        assert isinstance(self.run(call), Claimed)

    @precondition(lambda self: self.in_state(*ACTIVE))
    @rule(pick=picks, ending=st.sampled_from(list(Ending)))
    def settle(self, pick: int, ending: Ending) -> None:
        active = self.in_state(JobState.RUNNING, JobState.CANCELLING) or self.in_state(*ACTIVE)
        job = active[pick % len(active)]
        self.run(self.ledger.settle(job.id, job.attempt, outcome(ending, retry_bytes=15 * GIB)))

    @precondition(lambda self: self.stale_attempts())
    @rule(pick=picks, ending=st.sampled_from(list(Ending)))
    def act_on_a_past_attempt(self, pick: int, ending: Ending) -> None:
        stale = self.stale_attempts()
        job_id, attempt, worker_id = stale[pick % len(stale)]
        before = self.dump()
        settled = self.run(self.ledger.settle(job_id, attempt, outcome(ending)))
        assert isinstance(settled, Settled) or settled is Refusal.FENCED
        renewed = self.run(self.ledger.renew(job_id, attempt, LEASE_MS))
        assert renewed is Refusal.FENCED
        claim = self.ledger.claim(job_id, attempt, worker_id, "late", "sid", LEASE_MS)
        assert self.run(claim) is Refusal.FENCED
        assert self.dump() == before, "a past attempt changed something"

    @precondition(lambda self: self.in_state(JobState.QUEUED, *ACTIVE))
    @rule(pick=picks, own=st.sampled_from((True, True, True, False)))
    def cancel(self, pick: int, own: bool) -> None:
        unfinished = self.in_state(JobState.QUEUED, *ACTIVE)
        job = unfinished[pick % len(unfinished)]
        other = {"ann": "bob", "bob": "ann"}[job.user]
        before = self.dump()
        reply = self.run(self.ledger.cancel(job.user if own else other, job.id))
        if not own:
            assert reply.state is None
            assert self.dump() == before, "somebody else's cancel changed something"

    @precondition(lambda self: self.in_state(*ACTIVE))
    @rule(pick=picks, again=st.booleans())
    def lapse_and_reap(self, pick: int, again: bool) -> None:
        active = self.in_state(*ACTIVE)
        job = active[pick % len(active)]
        renewed = self.run(self.ledger.renew(job.id, job.attempt, PASSED_MS))
        assert isinstance(renewed, Renewed)
        self.changes_nothing(self.ledger.reap(self.epoch - 1, 2), [])
        reaped = self.run(self.ledger.reap(self.epoch, 2))
        assert [one.job_id for one in reaped] == [job.id]
        if again and reaped[0].state is JobState.QUEUED:
            (queued,) = self.run(self.ledger.jobs([job.id]))
            assert queued is not None
            self._admit(queued, self.worker(pick, idle=True))

    def stale_attempts(self) -> list[tuple[str, int, str]]:
        """Attempts that are over; those of jobs that run again, if there are any."""
        over = [
            one
            for one in self.attempts
            if one[0] in self.jobs
            and (self.jobs[one[0]].attempt != one[1] or self.jobs[one[0]].state not in ACTIVE)
        ]
        return [one for one in over if self.jobs[one[0]].state in ACTIVE] or over

    # ── invariants (research numbers I1 to I9 in brackets) ───────────────────

    @invariant()
    def the_books_balance(self) -> None:
        dump = self.dump()
        jobs = _jobs(dump)
        self._check_progress(jobs, dump)
        self.jobs = jobs
        _check_places(jobs, dump)
        _check_reservations(jobs, dump)
        _check_events(jobs, dump)

    def _check_progress(self, jobs: dict[str, Job], dump: Dump) -> None:
        for job_id, before in self.jobs.items():
            now = jobs[job_id]
            assert now.rev >= before.rev, "rev fell [I7]"
            assert now.attempt >= before.attempt, "attempt fell [I7]"
        for job_id, record in self.terminal.items():
            assert dump[f"job:{job_id}"] == record, "an ended job changed [I6]"
        self.terminal |= {
            job.id: dump[f"job:{job.id}"] for job in jobs.values() if job.state in TERMINAL
        }


def _jobs(dump: Dump) -> dict[str, Job]:
    found = [decode_job(value) for key, value in dump.items() if key.startswith("job:")]
    return {job.id: job for job in found if job is not None}


def _members(dump: Dump, kind: str) -> list[str]:
    return [
        member.decode()
        for key, value in dump.items()
        if key.startswith(kind)
        for member, _ in value
    ]


def _check_places(jobs: dict[str, Job], dump: Dump) -> None:
    active = sorted(job.id for job in jobs.values() if job.state in ACTIVE)
    assert sorted(_members(dump, "inflight")) == active, "inflight ⇔ active [I3]"
    assert sorted(_members(dump, "active:")) == active, "in one user's active list [I4]"
    queued = {
        user: [j.id for j in sorted(jobs.values(), key=lambda j: j.number) if j.user == user]
        for user in ("ann", "bob")
    }
    for user, ids in queued.items():
        waiting = [id_ for id_ in ids if jobs[id_].state is JobState.QUEUED]
        listed = [member.decode() for member, _ in dump.get(f"queue:{user}", [])]
        assert listed == waiting, "in one queue, at its place ⇔ QUEUED [I5]"
    ended = sorted(job.id for job in jobs.values() if job.state in TERMINAL)
    assert sorted(_members(dump, "done:") + _members(dump, "hidden:")) == ended
    unfinished = {job.user for job in jobs.values() if job.state not in TERMINAL}
    assert {user.decode() for user in dump.get("users", ())} == unfinished


def _check_reservations(jobs: dict[str, Job], dump: Dump) -> None:
    promised: dict[str, tuple[str, int]] = {}
    for key, holds in dump.items():
        if key.startswith("holds:"):
            reserved = {w[2:].decode(): int(b) for w, b in holds.items() if w.startswith(b"r:")}
            assert 0 <= sum(reserved.values()) <= CAPACITY, "over-commit [I1]"
            promised |= {name: (key[6:], bytes_) for name, bytes_ in reserved.items()}
    busy = {
        key[7:]: fields[b"job"].decode()
        for key, fields in dump.items()
        if key.startswith("worker:") and b"job" in fields
    }
    active = {job.worker: job for job in jobs.values() if job.state in ACTIVE}
    assert busy == {name: job.id for name, job in active.items()}, "one worker ⇔ active [I4]"
    assert promised == {name: (job.gpu, job.reserved_bytes) for name, job in active.items()}, (
        "reserved = Σ of active jobs [I2]"
    )


def _check_events(jobs: dict[str, Job], dump: Dump) -> None:
    """The stream replays to the same states by allowed steps, one per rev [I8, I18]."""
    states: dict[str, JobState] = {}
    steps: dict[str, int] = {}
    claimed: set[tuple[str, int]] = set()
    for event_id, fields in dump.get("events", ()):
        event = decode_event(event_id, fields)
        if not event.job or event.state is None:
            continue
        before = states.get(event.job)
        allowed = {JobState.QUEUED} if before is None else TRANSITIONS[before]
        assert event.state in allowed, f"{before} → {event.state}"
        if event.state is JobState.RUNNING:
            assert (event.job, event.attempt) not in claimed, "claimed twice [I8]"
            claimed.add((event.job, event.attempt))
        states[event.job] = event.state
        steps[event.job] = steps.get(event.job, 0) + 1
    assert states == {job.id: job.state for job in jobs.values()}
    assert steps == {job.id: job.rev for job in jobs.values()}
