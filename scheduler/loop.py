"""The scheduler process: lead, look, plan, commit, wait for something to change.

Any number may run; one leads by lease. Losing leadership in the middle is
harmless: every commit carries the epoch, and a stale one changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import structlog

from config.settings import RhythmMode, Scheduler, Settings
from scheduler.budgets import SPENT_NOTE, decode_spent
from scheduler.decisions import Admit, Decision, Plan, Preempt, Refuse, Release, Reserve
from scheduler.explanation import explain
from scheduler.exploration import Exploration
from scheduler.foresight import Foresight
from scheduler.knowledge import Knowledge
from scheduler.ledger import Admitted, Event, EventKind, Ledger, LedgerUnavailable, Refusal
from scheduler.plan_config import PlanConfig
from scheduler.policy import plan
from scheduler.resumption import Resumption
from scheduler.rhythm import Peak, from_json
from scheduler.states import Job, Snapshot, Step, WaitReason
from scheduler.teacher import Teacher

_log = structlog.get_logger()

#: Events that can let a waiting job start, or bring one.
_NUDGES: Final = frozenset(
    {
        EventKind.SUBMITTED,
        EventKind.REQUEUED,
        EventKind.SETTLED,
        EventKind.CAPACITY,
        EventKind.UNHELD,
        EventKind.MOVED,
    }
)
#: A plan is made at least this often, for what no event tells (leases, patience).
_IDLE_S: Final = 1.0
#: A plan that asks to be made again by time alone is not made sooner than this.
_SOONEST_S: Final = 0.02
#: The same while somebody waits for a load to be over, for agents that do not tell.
_LOADED_S: Final = 0.2
#: Waiting jobs are told why at most this often.
_EXPLAIN_S: Final = 0.5
_TRIM_S: Final = 30.0
#: The week is learned anew each hour; it is read this often.
_WEEK_S: Final = 600.0
#: What was used of budgets is told each minute; it is read this often.
_SPENT_S: Final = 30.0
#: Agents, workers and GPUs that have been silent for this long are forgotten.
_FORGET_MS: Final = 3_600_000
#: A new leader reads this much of the past, for what its predecessor did not come to learn.
_LOOK_BACK_MS: Final = 15_000
#: How often a restarted server's agents are looked for.
_RESUME_S: Final = 0.2


class SchedulerLoop:
    """One scheduler. ``clock`` is monotonic seconds and only paces the loop."""

    def __init__(
        self,
        ledger: Ledger,
        settings: Callable[[], Settings],
        owner: str,
        clock: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._owner = owner
        self._clock = clock
        self._epoch: int | None = None
        self._teacher = Teacher(ledger)
        self._resumption = Resumption(ledger, clock)
        self._cursor = "0-0"
        self._led = 0
        self._events: list[Event] = []
        self._lead_again = 0.0
        self._trim_again = 0.0
        self._reap_again = 0.0
        self._explain_again = 0.0
        self._week_again = 0.0
        self._spent_again = 0.0
        self._peak: Peak | None = None
        self._again_s = _IDLE_S
        self._knowledge = Knowledge()
        self._exploration = Exploration()
        self._foresight = Foresight(ledger, clock)

    async def run(self) -> None:
        """Work until cancelled; gives the leadership back on the way out."""
        try:
            while True:
                try:
                    await self._turn()
                except LedgerUnavailable as error:
                    _log.warning("ledger_away", error=str(error))
                    self._resumption.was_away()
                    self._epoch = None
                    self._lead_again = 0.0
                    await asyncio.sleep(0.5)
        finally:
            await self._foresight.close()
            await self._resign()

    async def _turn(self) -> None:
        await self._lead()
        settings = self._settings().scheduler
        if self._epoch is None:
            await self._resumption.is_over(settings.heartbeat)
            await asyncio.sleep(settings.leader / 3)
            return
        if settings.rhythm is not RhythmMode.OFF and self._clock() >= self._week_again:
            await self._read_week()
        if self._clock() >= self._spent_again:
            self._knowledge.follow_spent(decode_spent(await self._ledger.noted(SPENT_NOTE)))
            self._spent_again = self._clock() + _SPENT_S
        snapshot = await self._believed_snapshot(settings)
        # running attempts get a whole lease to be renewed, whoever was away how long
        self._reap_again = self._resumption.seen_at + settings.lease
        if snapshot is None:
            await asyncio.sleep(_RESUME_S)
            return
        await self._plan(self._epoch, snapshot)
        await self._learn(self._epoch)
        await self._keep_house(self._epoch)
        await self._wait_for_change()

    async def _read_week(self) -> None:
        text = await self._ledger.week()
        self._week_again = self._clock() + _WEEK_S
        rhythm = None if text is None else from_json(text)
        if text is not None and rhythm is None:
            _log.warning("week_of_another_version", bytes=len(text))
        self._knowledge.follow(rhythm)

    async def _lead(self) -> None:
        now = self._clock()
        if now < self._lead_again:
            return
        ttl = self._settings().scheduler.leader
        epoch = await self._ledger.lead(self._owner, int(ttl * 1000))
        if epoch is not None and epoch != self._epoch:
            _log.info("leading", owner=self._owner, epoch=epoch)
            if epoch != self._led:
                self._cursor = _before(await self._ledger.last_event_id(), _LOOK_BACK_MS)
            self._led = epoch
        self._epoch = epoch
        self._lead_again = now + ttl / 3

    async def _resign(self) -> None:
        if self._epoch is None:
            return
        try:
            await self._ledger.resign(self._owner, self._epoch)
        except LedgerUnavailable:
            _log.info("left_without_resigning", reason="the lease ends by itself")

    async def _believed_snapshot(self, settings: Scheduler) -> Snapshot | None:
        """The books as they are; None: what they say of workers is not believed yet."""
        snapshot = await self._ledger.snapshot(settings.window)
        if self._resumption.believes(snapshot.life):
            return snapshot
        if not await self._resumption.is_over(settings.heartbeat):
            return None
        # the one read above may be older than the last report that was waited for
        return await self._ledger.snapshot(settings.window)

    async def _plan(self, epoch: int, snapshot: Snapshot) -> None:
        """One plan of the books, and its commits."""
        settings = self._settings()
        self._knowledge.look(snapshot)
        config = self._knowledge.config(settings, snapshot)
        config = replace(config, trials=await self._trials(settings.scheduler, snapshot))
        self._tell_peak(config)
        made = plan(snapshot, snapshot.now_ms, config)
        for decision in made.decisions:
            if not await self._commit(epoch, decision, snapshot):
                return
        self._again_s = (made.again_ms - snapshot.now_ms) / 1000 if made.again_ms else _IDLE_S
        if _waits_for_a_load(made, snapshot):
            self._again_s = min(self._again_s, _LOADED_S)
        rest_s = self._explain_again - self._clock()
        if rest_s <= 0:
            self._explain_again = self._clock() + _EXPLAIN_S
            await self._explain(epoch, snapshot, made)
        else:
            self._again_s = min(self._again_s, rest_s)
        self._foresight.look(epoch, snapshot, config)

    async def _trials(self, rules: Scheduler, snapshot: Snapshot) -> Mapping[str, Step]:
        """What may be tried on waiting batch jobs: nothing while a peak is near."""
        jobs = [] if self._knowledge.peak else self._exploration.wanted(snapshot, rules.explore)
        if not jobs:
            return {}
        kinds = [job.fingerprint for job in jobs]
        return self._exploration.trials(jobs, await self._teacher.known(kinds))

    def _tell_peak(self, config: PlanConfig) -> None:
        """Log a peak when it comes into sight and when it has passed."""
        peak, self._peak = self._peak, self._knowledge.peak
        if self._peak is not None and self._peak != peak:
            _log.info(
                "peak_expected",
                begin_ms=self._peak.begin_ms,
                end_ms=self._peak.end_ms,
                workers=round(self._peak.load, 1),
                batch_waits=config.hold_until_ms > 0,
            )
        elif peak is not None and self._peak is None:
            _log.info("peak_over", end_ms=peak.end_ms)

    async def _commit(self, epoch: int, decision: Decision, snapshot: Snapshot) -> bool:
        """Carry out one decision. False: another scheduler leads."""
        match decision:
            case Admit():
                return await self._admit(epoch, decision, snapshot.now_ms)
            case Release(worker=worker):
                if await self._ledger.release(epoch, worker.id):
                    _log.info("release", worker=worker.id, used_bytes=worker.used_bytes)
            case Refuse(job=job, reason=reason, message=message):
                if await self._ledger.refuse(epoch, job, reason, message):
                    _log.info("refuse", job=job.id, user=job.user, reason=reason.value)
            case Preempt(job=job, for_job=waiting):
                if await self._ledger.preempt(epoch, job):
                    lost = (snapshot.now_ms - job.started_ms) / 1000
                    self._knowledge.interrupted(snapshot.now_ms, lost)
                    _log.info("preempt", job=job.id, for_job=waiting.id, lost_seconds=lost)
            case Reserve(job=job, gpu=gpu):
                _log.debug("reserve", job=job.id, gpu=gpu)
        return True

    async def _explain(self, epoch: int, snapshot: Snapshot, made: Plan) -> None:
        waits: dict[str, tuple[WaitReason, str, str]] = {}
        for wait in explain(snapshot, made):
            job, told = wait.job, (wait.reason, wait.detail, wait.blocker)
            if (job.wait_reason, job.wait_detail, job.wait_blocker) != told:
                waits[job.id] = told
        if waits:
            await self._ledger.explain(epoch, waits)

    async def _admit(self, epoch: int, decision: Admit, now_ms: int) -> bool:
        """Commit one admission. False: another scheduler leads.

        Any other refusal concerns this job alone: it must not hold up those after it.
        """
        lease_ms = int(self._settings().scheduler.lease * 1000)
        job: Job = decision.job
        worker, grant = decision.worker, decision.grant
        reply = await self._ledger.admit(epoch, job, worker, grant, lease_ms)
        if isinstance(reply, Admitted):
            self._knowledge.admitted(decision, now_ms)
            self._foresight.admitted(job.id, now_ms)
            if grant.trial:
                self._exploration.begun(job, now_ms)
            _log.info(
                "admit",
                job=job.id,
                user=job.user,
                attempt=reply.attempt,
                worker=worker.id,
                gpu=worker.gpu,
                bytes=grant.bytes,
                seconds=round(grant.seconds, 1),
                load_seconds=round(grant.load_seconds, 1),
                trial=grant.trial,
            )
            return True
        _log.info("admit_refused", job=job.id, worker=worker.id, why=reply.value)
        if reply is not Refusal.STALE_LEADER:
            self._knowledge.refused(job.id, now_ms)
            return True
        self._epoch = None
        self._lead_again = 0.0
        return False

    async def _learn(self, epoch: int) -> None:
        """Learn from what has happened. After the plan: it makes nobody wait."""
        await self._teacher.teach(epoch, self._events)
        self._events = []

    async def _keep_house(self, epoch: int) -> None:
        settings = self._settings()
        if self._clock() >= self._reap_again:
            for reaped in await self._ledger.reap(epoch, settings.scheduler.max_losses):
                _log.warning("lease_lost", job=reaped.job_id, state=reaped.state.value)
        if self._clock() >= self._trim_again:
            self._trim_again = self._clock() + _TRIM_S
            store = settings.store
            await self._ledger.trim(epoch, store.keep_jobs, int(store.keep_for * 1000))
            for name in await self._ledger.forget(epoch, _FORGET_MS):
                _log.info("forgotten", name=name, silent_ms=_FORGET_MS)

    async def _wait_for_change(self) -> None:
        """Sleep until an event that matters, or until the idle pass is due."""
        deadline = self._clock() + max(_SOONEST_S, min(_IDLE_S, self._again_s))
        while (left := deadline - self._clock()) > 0:
            events = await self._ledger.events(self._cursor, block_ms=max(1, int(left * 1000)))
            if events:
                self._cursor = events[-1].id
                self._events += events
            if any(event.kind in _NUDGES for event in events):
                return


def _waits_for_a_load(made: Plan, snapshot: Snapshot) -> bool:
    """Whether a GPU that loads models keeps a job from starting."""
    gpus = {gpu.id for gpu in snapshot.gpus}
    waits = made.blocked.values()
    return any(w.reason is WaitReason.WARM_SOON and w.blocker in gpus for w in waits)


def _before(event_id: str, ms: int) -> str:
    """A cursor that lies so long before an event."""
    return f"{max(0, int(event_id.partition('-')[0]) - ms)}-0"
