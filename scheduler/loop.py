"""The scheduler process: lead, look, plan, commit, wait for something to change.

Any number may run; one leads by lease. Losing leadership in the middle is
harmless: every commit carries the epoch, and a stale one changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from config.settings import Settings
from scheduler.ledger import Admitted, Event, EventKind, Ledger, LedgerUnavailable, Refusal
from scheduler.placement import Safety
from scheduler.policy import Admit, Limits, PlanConfig, Release, Wait, plan
from scheduler.resumption import Resumption
from scheduler.states import Job, Snapshot, WaitReason, WorkerState
from scheduler.teacher import Teacher

_log = structlog.get_logger()

#: Events that can let a waiting job start, or bring one.
_NUDGES: Final = frozenset(
    {EventKind.SUBMITTED, EventKind.REQUEUED, EventKind.SETTLED, EventKind.CAPACITY}
)
#: A plan is made at least this often, for what no event tells (leases, patience).
_IDLE_S: Final = 1.0
_TRIM_S: Final = 30.0
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
        self._releasing: set[str] = set()
        self._floors: dict[str, int] = {}

    async def run(self) -> None:
        """Work until cancelled; gives the leadership back on the way out."""
        try:
            while True:
                try:
                    await self._turn()
                except LedgerUnavailable as error:
                    _log.warning("ledger_away", error=str(error))
                    self._epoch = None
                    self._lead_again = 0.0
                    await asyncio.sleep(0.5)
        finally:
            await self._resign()

    async def _turn(self) -> None:
        await self._lead()
        if self._epoch is None:
            await asyncio.sleep(self._settings().scheduler.leader / 3)
            return
        settings = self._settings().scheduler
        if not await self._resumption.is_over(settings.heartbeat):
            # running attempts get a whole lease to be renewed, whoever was away how long
            self._reap_again = self._clock() + settings.lease
            await asyncio.sleep(_RESUME_S)
            return
        await self.plan_once(self._epoch)
        await self._learn(self._epoch)
        await self._keep_house(self._epoch)
        await self._wait_for_change()

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

    async def plan_once(self, epoch: int) -> None:
        """One snapshot, one plan, its commits."""
        snapshot = await self._ledger.snapshot(self._settings().scheduler.window)
        self._learn_floors(snapshot)
        config = plan_config(self._settings(), self._floors)
        waits: dict[str, tuple[WaitReason, str]] = {}
        for decision in plan(snapshot, config):
            match decision:
                case Admit():
                    if not await self._admit(epoch, decision):
                        return
                case Release(worker=worker):
                    if await self._ledger.release(epoch, worker.id):
                        _log.info("release", worker=worker.id, used_bytes=worker.used_bytes)
                case Wait(job=job, reason=reason, detail=detail):
                    if (job.wait_reason, job.wait_detail) != (reason, detail):
                        waits[job.id] = (reason, detail)
        if waits:
            await self._ledger.explain(epoch, waits)

    async def _admit(self, epoch: int, decision: Admit) -> bool:
        """Commit one admission. False: another scheduler leads.

        Any other refusal concerns this job alone: it must not hold up those after it.
        """
        lease_ms = int(self._settings().scheduler.lease * 1000)
        reply = await self._ledger.admit(
            epoch,
            decision.job,
            decision.worker,
            decision.bytes,
            decision.capacity_bytes,
            lease_ms,
        )
        job: Job = decision.job
        if isinstance(reply, Admitted):
            _log.info(
                "admit",
                job=job.id,
                user=job.user,
                attempt=reply.attempt,
                worker=decision.worker.id,
                gpu=decision.worker.gpu,
                bytes=decision.bytes,
            )
            return True
        _log.info("admit_refused", job=job.id, worker=decision.worker.id, why=reply.value)
        if reply is not Refusal.STALE_LEADER:
            return True
        self._epoch = None
        self._lead_again = 0.0
        return False

    def _learn_floors(self, snapshot: Snapshot) -> None:
        """Remember what a worker still holds after a release, so that none is asked in vain."""
        for worker in snapshot.workers:
            if worker.state is WorkerState.RELEASING:
                self._releasing.add(worker.id)
            elif worker.id in self._releasing:
                self._releasing.discard(worker.id)
                self._floors[worker.id] = worker.used_bytes
            elif worker.job or worker.state is WorkerState.DOWN:
                self._floors.pop(worker.id, None)

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
        deadline = self._clock() + _IDLE_S
        while (left := deadline - self._clock()) > 0:
            events = await self._ledger.events(self._cursor, block_ms=max(1, int(left * 1000)))
            if events:
                self._cursor = events[-1].id
                self._events += events
            if any(event.kind in _NUDGES for event in events):
                return


def _before(event_id: str, ms: int) -> str:
    """A cursor that lies so long before an event."""
    return f"{max(0, int(event_id.partition('-')[0]) - ms)}-0"


def plan_config(settings: Settings, floors: dict[str, int]) -> PlanConfig:
    """The settings as a plan needs them."""
    return PlanConfig(
        safety=Safety(settings.admission.safety_share, settings.admission.safety_min),
        users={user.name: Limits(max_running=user.max_running) for user in settings.users},
        groups={
            group.name: Limits(max_running=group.max_running, vram_share=group.vram_share)
            for group in settings.groups
        },
        floors=dict(floors),
        heartbeat_ms=int(settings.scheduler.heartbeat * 1000),
    )
