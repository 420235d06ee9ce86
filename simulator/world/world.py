"""A pool in simulated time: jobs arrive, a plan decides, a machine computes, books are kept.

The books are the ledger's own transitions in memory, and the plan is the one
that production runs. Only time is made up: the world jumps from one event to
the next, and asks for a plan only when one could decide something, that is
when something has changed, a worker is idle and a job waits. While jobs wait
beside idle workers it asks once a second, as the scheduler's loop does.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from config.settings import Settings
from scheduler.decisions import Admit, Decision, Preempt, Refuse, Release, Reserve
from scheduler.knowledge import Knowledge
from scheduler.ledger_values import Admitted, Claimed, Ending, Outcome, Settled, Submitted
from scheduler.memory_books import Books
from scheduler.rhythm import Rhythm
from scheduler.states import FailReason, JobState, WorkerState
from simulator.world.draft import Draft
from simulator.world.faults import Fault
from simulator.world.machine import Ended, Machine, Released
from simulator.world.metrics import Recorder
from simulator.world.planner import Policy

#: server time at which a world of no date begins; any but 0, which stands for never
EPOCH_MS: Final = 1_000_000_000
#: how often the scheduler's loop plans although nothing happened
_TICK_S: Final = 1.0
#: how long after its last renewal an attempt of a lost agent is given up
_LEASE_S: Final = 15.0
#: a lease that does not pass: agents that live renew all the time
_LONG_MS: Final = 10**12
#: a job that lost its worker so often fails
_MAX_LOSSES: Final = 3
#: how old what the leader knows may be when it plans; in production it is always fresh
_CONFIG_S: Final = 1.0
#: how often ended jobs are dropped from the books
_TRIM_S: Final = 600.0
#: with nothing running and nothing arriving, jobs that wait for longer wait for ever
_STUCK_S: Final = 7200.0
#: how many jobs end between two words about it
_TELL_JOBS: Final = 256
_OWNER: Final = "world"


class WorldError(Exception):
    """A run that cannot go on: jobs that no plan starts, or books that refuse what is due."""


@dataclass(slots=True)
class _Life:
    """One job that has not ended."""

    draft: Draft
    started: float = 0.0
    #: "" while queued
    worker: str = ""
    attempt: int = 0
    warm: bool = False


class World:
    """One run, beginning at server time ``epoch_ms``.

    ``tell`` hears now and then how many more jobs have ended, ``served`` of each job that
    ended well and how long it had waited (s); ``rhythm`` is what history says of demand, if the
    settings use it.
    """

    def __init__(
        self,
        *,
        drafts: Sequence[Draft],
        machine: Machine,
        policy: Policy,
        settings: Settings,
        faults: Sequence[Fault] = (),
        tell: Callable[[int], None] = lambda ended: None,
        served: Callable[[Draft, float], None] = lambda draft, wait: None,
        epoch_ms: int = EPOCH_MS,
        rhythm: Rhythm | None = None,
    ) -> None:
        self.now = 0.0
        self._epoch_ms = epoch_ms
        self.recorder = Recorder()
        self._drafts = deque(drafts)
        self._faults = deque(faults)
        self._machine = machine
        self._policy = policy
        self._settings = settings
        self._tell = tell
        self._served = served
        calls = itertools.count()
        self.books = Books(
            lambda: self.now_ms,
            lambda: f"c{next(calls)}",
            heartbeat_ms=int(settings.scheduler.heartbeat * 1000),
        )
        self._epoch = self.books.lead(_OWNER, _LONG_MS) or 0
        self._lives: dict[str, _Life] = {}
        self._queued = 0
        self._idle: set[str] = set()
        #: job of each busy worker, and the agent of each worker
        self._busy: dict[str, str] = {}
        self._agents: dict[str, str] = {}
        self._leases: deque[float] = deque()
        self._knowledge = Knowledge()
        self._knowledge.follow(rhythm)
        self._config = self._knowledge.config(settings, self.books.snapshot(1))
        self._config_until = 0.0
        self._again = math.inf
        self._trim_again = _TRIM_S
        self._ended = 0
        self._moved = 0.0
        #: admissions that the books refused; a plan's mistake, as nobody else admits
        self.refused = 0

    @property
    def now_ms(self) -> int:
        """The books' clock."""
        return self._epoch_ms + int(self.now * 1000)

    @property
    def over(self) -> bool:
        """Every job has ended."""
        return not (self._drafts or self._lives)

    def run(self) -> None:
        """Until every job has ended.

        Raises:
            WorldError: some never would.
        """
        while not self.over:
            self.step()
        self._tell(self._ended % _TELL_JOBS)

    def step(self) -> None:
        """Jump to the next event, let it happen, and plan if that can help.

        Raises:
            WorldError: there is none, or nothing has started any job for too long.
        """
        self.now = max(self.now, self._next_time())
        while self._drafts and self._drafts[0].at <= self.now:
            self._submit(self._drafts.popleft())
        for happened in self._machine.advance(self.now):
            if isinstance(happened, Ended):
                self._settle(happened)
            else:
                self._take_back(happened)
        while self._faults and self._faults[0].at <= self.now:
            self._break(self._faults.popleft())
        while self._leases and self._leases[0] <= self.now:
            self._leases.popleft()
            self._reap()
        self._keep_house()
        self._again = math.inf
        self._report()
        if self._queued and self._idle:
            self._plan()

    def _next_time(self) -> float:
        ending = self._machine.next_event()
        event = min(
            self._drafts[0].at if self._drafts else math.inf,
            math.inf if ending is None else ending,
            self._leases[0] if self._leases else math.inf,
            self._faults[0].at if self._faults else math.inf,
        )
        at = min(event, self._again)
        if event <= at:
            self._moved = event
        if at == math.inf or self.now - self._moved > _STUCK_S:
            raise WorldError(
                f"{self._queued} jobs wait at {self.now:.0f} s of simulated time, nothing runs, "
                f"and policy {self._policy.name} starts none of them"
            )
        return at

    # ── what happens ─────────────────────────────────────────────────────────

    def _submit(self, draft: Draft) -> None:
        reply = self.books.submit(draft.job, b"{}", max_queued=None)
        if not isinstance(reply, Submitted):
            raise WorldError(f"the books refuse job {draft.job.id}: {reply}")
        self._lives[draft.job.id] = _Life(draft)
        self._queue(draft)

    def _queue(self, draft: Draft) -> None:
        self._queued += 1
        self.recorder.queued(self.now, draft.job.user)

    def _settle(self, ended: Ended) -> None:
        """Close the books of an attempt, and note what it was worth."""
        outcome = Outcome(
            ending=ended.ending,
            result=b"{}",
            peak_bytes=ended.peak_bytes,
            run_seconds=ended.seconds,
            retry_bytes=ended.peak_bytes if ended.ending is Ending.OOM else 0,
            reason=FailReason.NODE_ERROR if ended.ending is Ending.FAILED else None,
        )
        reply = self.books.settle(ended.job, ended.attempt, outcome)
        if not isinstance(reply, Settled):
            raise WorldError(f"the books refuse to settle {ended.job}: {reply}")
        life = self._lives[ended.job]
        self.recorder.attempted(
            life.started,
            life.started + ended.seconds,
            life.draft.job.user,
            load_seconds=ended.load_seconds,
            warm=ended.warm,
        )
        self._leave(life, reply.state, ended.seconds)

    def _leave(self, life: _Life, state: JobState, seconds: float) -> None:
        """An attempt is over after so long, and its job is now in that state."""
        del self._busy[life.worker]
        if state is JobState.SUCCEEDED:
            wait = life.started - life.draft.at
            self.recorder.done(self.now, wait=wait, small=life.draft.small)
            self._served(life.draft, wait)
            self._forget(life)
            return
        self.recorder.wasted(seconds)
        self._knowledge.interrupted(self.now_ms, seconds)
        life.worker = ""
        if state is JobState.QUEUED:
            self._queue(life.draft)
        else:
            self.recorder.failed(self.now)
            self._forget(life)

    def _forget(self, life: _Life) -> None:
        del self._lives[life.draft.job.id]
        self._ended += 1
        if self._ended % _TELL_JOBS == 0:
            self._tell(_TELL_JOBS)

    def _take_back(self, released: Released) -> None:
        self.books.released(released.worker, released.used_bytes)
        self._config_until = 0.0

    def _report(self) -> None:
        """Tell the books what agents see, and learn which workers are idle."""
        for report in self._machine.reports():
            self.books.report(report)
            for worker in report.workers:
                self._agents[worker.id] = worker.agent
                if worker.state is WorkerState.READY and worker.id not in self._busy:
                    self._idle.add(worker.id)
                else:
                    self._idle.discard(worker.id)

    def _keep_house(self) -> None:
        if self.now >= self._trim_again:
            self.books.trim(self._epoch, 0, 0)
            self._trim_again = self.now + _TRIM_S

    # ── what breaks ──────────────────────────────────────────────────────────

    def _break(self, fault: Fault) -> None:
        """Let a fault happen. Attempts of a lost agent have renewed their leases just before."""
        for worker, job_id in self._busy.items():
            if self._agents[worker] == fault.lost_agent:
                attempt = self._lives[job_id].attempt
                self.books.renew(job_id, attempt, int(_LEASE_S * 1000))
        fault.happen()
        if fault.lost_agent:
            self._leases.append(self.now + _LEASE_S)

    def _reap(self) -> None:
        for reaped in self.books.reap(self._epoch, _MAX_LOSSES):
            life = self._lives[reaped.job_id]
            end = self.now - _LEASE_S
            load = 0.0 if life.warm else min(life.draft.work.load_seconds, end - life.started)
            self.recorder.attempted(
                life.started, end, life.draft.job.user, load_seconds=load, warm=life.warm
            )
            self._leave(life, reaped.state, end - life.started)

    # ── what is decided ──────────────────────────────────────────────────────

    def _plan(self) -> None:
        """Plan, and do what was decided; at once again where the policy asks for it."""
        again = True
        while again and self._queued and self._idle:
            snapshot = self.books.snapshot(self._policy.window)
            self._knowledge.look(snapshot)
            if self.now >= self._config_until:
                self._config = self._knowledge.config(self._settings, snapshot)
                self._config_until = self.now + _CONFIG_S
            plan = self._policy.plan(snapshot, self.now_ms, self._config)
            done = sum([self._do(decision) for decision in plan.decisions])
            again = self._policy.again and done > 0
        if self._queued and self._idle:
            self._again = self.now + _TICK_S
            if plan.again_ms:
                self._again = min(
                    self._again, max(self.now, (plan.again_ms - self._epoch_ms) / 1000)
                )

    def _do(self, decision: Decision) -> int:
        """Commit one decision; 1 if it changed anything."""
        match decision:
            case Admit():
                return self._admit(decision)
            case Release(worker):
                if not self.books.release(self._epoch, worker.id):
                    return 0
                self._idle.discard(worker.id)
                self._machine.release(self.now, worker.id)
                return 1
            case Refuse(job, reason, message):
                if not self.books.refuse(self._epoch, job, reason, message):
                    return 0
                self._unqueue(self._lives[job.id])
                self.recorder.failed(self.now)
                self._forget(self._lives[job.id])
                return 1
            case Preempt(job, _):
                if not self.books.preempt(self._epoch, job):
                    return 0
                self._machine.interrupt(self.now, job.worker)
                return 1
            case Reserve():
                return 0

    def _admit(self, decision: Admit) -> int:
        job, worker = decision.job, decision.worker
        reply = self.books.admit(self._epoch, job, worker, decision.grant, _LONG_MS)
        if not isinstance(reply, Admitted):
            self.refused += 1
            return 0
        claim = self.books.claim(job.id, reply.attempt, worker.id, job.id, "", _LONG_MS)
        if not isinstance(claim, Claimed):
            raise WorldError(f"the books let nobody run {job.id}: {claim}")
        self._knowledge.admitted(decision, self.now_ms)
        life = self._lives[job.id]
        life.started, life.worker, life.attempt = self.now, worker.id, reply.attempt
        life.warm = set(job.models) <= set(worker.models)
        self._unqueue(life)
        self._busy[worker.id] = job.id
        self._idle.discard(worker.id)
        work = replace(life.draft.work, attempt=reply.attempt)
        self._machine.start(self.now, worker.id, work, decision.grant)
        return 1

    def _unqueue(self, life: _Life) -> None:
        self._queued -= 1
        self.recorder.unqueued(self.now, life.draft.job.user)
