"""All that one plan knows and changes while it is made: the room left, and what was given to whom."""

from __future__ import annotations

from dataclasses import replace

from scheduler.caps import Caps
from scheduler.decisions import Wait
from scheduler.equipment import Equipment
from scheduler.fairness import Counters
from scheduler.hosts import Hosts
from scheduler.placement import Room, Seat
from scheduler.plan_config import PlanConfig
from scheduler.quarantine import gpu_rests_until, rests_until
from scheduler.shadow import Shadow
from scheduler.shortage import nobody_free
from scheduler.states import Job, Snapshot, WaitReason
from scheduler.warmth import Warmth


class Scene:
    """The picture of a plan in the making."""

    def __init__(self, snapshot: Snapshot, now_ms: int, config: PlanConfig) -> None:
        self.snapshot = snapshot
        self.now_ms = now_ms
        self.config = config
        self.room = Room(
            snapshot,
            now_ms,
            config.safety,
            floors=config.floors,
            heartbeat_ms=config.heartbeat_ms,
            resigned_ms=config.resigned_ms,
        )
        self.equipment = Equipment(snapshot, self.room)
        #: when a plan of the same books would decide something else; 0: never
        self.again_ms = 0
        #: seats that could take a job now, emptiest first
        self.idle = self._rested(self.room.idle())
        self.idle.sort(key=lambda seat: (seat.used, -seat.headroom, seat.order))
        self.counters = Counters(snapshot.backlogs, snapshot.groups, config.users, config.groups)
        pool = sum(card.capacity for card in self.room.cards.values())
        self.caps = Caps(config, snapshot.active.values(), pool)
        #: waiting jobs that the plan looks at, for ``warmth``
        self.waiting: list[Job] = []
        seats = self.room.seats.values()
        self.warmth = Warmth(seats, self.idle, config.demand, lambda: self.waiting)
        self.hosts = Hosts(snapshot.agents, config.host_floors)
        if self.hosts.known:
            self._run_on_hosts()
        self.shadows: list[Shadow] = []
        #: grows with each change: what was found out before may be true no more
        self.stamp = 0
        self._gpu_pool = any(worker.gpu for worker in snapshot.workers)
        self._busy_texts: dict[tuple[bool, str], Wait] = {}
        self._cards: dict[tuple[str, str, str], frozenset[str] | None] = {}
        #: kinds of jobs that may run on no worker of the pool
        self._stranded: dict[tuple[str, str, str, bool], bool] = {}
        self.room.whole.cards_of = self._cards_of

    def look_again(self, at_ms: int) -> None:
        """Something changes then, by time alone."""
        if at_ms > self.now_ms and (not self.again_ms or at_ms < self.again_ms):
            self.again_ms = at_ms

    def at(self, seconds: float) -> int:
        """Server time so many seconds from now."""
        return self.now_ms + int(seconds * 1000)

    def may_use(self, job: Job, seat: Seat) -> bool:
        """Whether the job may run there at all, whatever is free.

        GPU work runs on the CPU only in a pool without GPUs.
        """
        if job.needs_gpu and self._gpu_pool and not seat.worker.gpu:
            return False
        return self.caps.allowed(job, seat) and self.equipment.offers(job, seat.worker)

    def is_stranded(self, job: Job) -> bool:
        """Whether it may run on no worker of the pool."""
        key = (job.user, job.group, job.requires, job.needs_gpu)
        if key not in self._stranded:
            seats = self.room.seats.values()
            self._stranded[key] = not any(self.may_use(job, seat) for seat in seats)
        return self._stranded[key]

    def _cards_of(self, job: Job) -> frozenset[str] | None:
        """Ids of the GPUs on which the job may run at all; None: on all of them."""
        key = (job.user, job.group, job.requires)
        if key not in self._cards:
            narrow = self.caps.is_confined(job) or self.equipment.is_picky(job)
            seats = self.room.seats.values() if narrow else ()
            found = frozenset(seat.worker.gpu for seat in seats if self.may_use(job, seat))
            self._cards[key] = found if narrow else None
        return self._cards[key]

    def nobody_free(self, job: Job) -> Wait:
        """That no worker is idle, worded once per kind of job."""
        kind = (job.needs_gpu, job.requires)
        known = self._busy_texts.get(kind)
        if known is None:
            known = nobody_free(job, self.room, self.equipment, self.config, self.now_ms)
            self._busy_texts[kind] = known
        return replace(known, job=job)

    def nobody_serves(self, job: Job) -> Wait:
        """Why a stranded job waits. Its words do not change with every start of others."""
        if self.caps.is_confined(job) and self.room.up(needs_gpu=job.needs_gpu):
            return Wait(job, WaitReason.CAP, "the user may use none of the workers")
        return self.nobody_free(job)

    def _run_on_hosts(self) -> None:
        for job in self.snapshot.active.values():
            seat = self.room.seats.get(job.worker)
            if seat is not None:
                self.hosts.run(job, seat)
        for seat in self.idle:
            self.hosts.rests(seat)

    def _rested(self, seats: list[Seat]) -> list[Seat]:
        """Without those in quarantine."""
        if not any(worker.failures for worker in self.snapshot.workers):
            return seats
        limit, rest = self.config.quarantine_failures, self.config.quarantine_ms
        fit = []
        for seat in seats:
            until = rests_until(seat.worker, limit, rest)
            if seat.card is not None:
                workers = [other.worker for other in seat.card.seats]
                until = max(until, gpu_rests_until(workers, limit, rest))
            if until > self.now_ms:
                self.look_again(until)
            else:
                fit.append(seat)
        return fit
