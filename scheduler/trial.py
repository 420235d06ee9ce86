"""What would become of a job that is not queued: where it fits, and who would stand before it (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from scheduler.bookkeeping import queued_job
from scheduler.placement import Card, Seat, empty_capacity_bytes
from scheduler.plan_config import PlanConfig
from scheduler.reservation import fitting_bytes
from scheduler.scene import Scene
from scheduler.states import (
    Backlog,
    Job,
    MemoryLimit,
    NewJob,
    Snapshot,
    WorkerState,
)


class Fit(StrEnum):
    """Whether a job fits on a GPU."""

    #: an idle worker there could take it at once
    NOW = "now"
    #: as soon as jobs there have ended and idle workers have given memory back
    WHEN_FREE = "when_free"
    #: as soon as other processes have left the GPU
    WHEN_OTHERS_LEAVE = "when_others_leave"
    #: it is estimated to need more than any GPU has: it gets a whole one to itself, and its limit
    ALONE = "alone"
    #: it needs more than this GPU has, and there is a larger one
    NEVER = "never"
    #: its user or group may not use this GPU
    NOT_ALLOWED = "not_allowed"
    #: no worker there has all nodes and models that it names
    LACKING = "lacking"
    #: the GPU, or its agent, does not report
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Place:
    """One GPU, or one worker without a GPU, and whether the job fits there."""

    #: id of the GPU; of the worker where it has none
    id: str
    fit: Fit
    #: bytes that could be promised there if all workers were empty
    capacity_bytes: int


def queued(new: NewJob, snapshot: Snapshot) -> Job:
    """The job as it would stand in the queue: behind all others of its user, or before them.

    Without its deadline, as what is asked is when it would start.
    """
    number = -1 if new.front else 1
    job = queued_job(new, new.group, number, snapshot.now_ms)
    return replace(job, deadline_ms=0)


def with_job(snapshot: Snapshot, job: Job) -> Snapshot | None:
    """The pool with one more job; None: its user has more jobs waiting than the snapshot shows.

    A user who waits for nothing yet is lifted, as the ledger does it, to the least of those
    who do.
    """
    waiting = [one for one in snapshot.backlogs if one.jobs]
    least = min((one.virtual for one in waiting if one.group == job.group), default=0)
    own = next((one for one in snapshot.backlogs if one.user == job.user), None)
    if own is None:
        own = Backlog(user=job.user, group=job.group, queued=0, running=0, jobs=())
    if own.queued != len(own.jobs):
        return None
    if not own.jobs:
        own = replace(own, virtual=max(own.virtual, least))
    jobs = (job, *own.jobs) if job.number < 0 else (*own.jobs, job)
    own = replace(own, jobs=jobs, queued=own.queued + 1)
    others = [one for one in snapshot.backlogs if one.user != job.user]
    groups = dict(snapshot.groups)
    groups.setdefault(job.group, min(groups.values(), default=0))
    return replace(snapshot, backlogs=(*others, own), groups=groups)


def places(job: Job, snapshot: Snapshot, config: PlanConfig) -> tuple[Place, ...]:
    """Whether the job fits on each GPU, and on each worker without one.

    Args:
        job: as ``queued`` makes it.
        snapshot: the pool as the ledger knows it.
        config: what plans go by.
    """
    scene = Scene(snapshot, snapshot.now_ms, config)
    found = [
        Place(card.gpu.id, _on_card(job, card, scene), card.capacity)
        for card in scene.room.cards.values()
    ]
    if not job.needs_gpu or not scene.room.cards:
        bare = [seat for seat in scene.room.seats.values() if seat.card is None]
        found += [Place(seat.worker.id, _on_seat(job, seat, scene), 0) for seat in bare]
    return tuple(found)


def _on_seat(job: Job, seat: Seat, scene: Scene) -> Fit:
    if not seat.heard or seat.state is WorkerState.DOWN:
        return Fit.SILENT
    barred = _barred(job, [seat], scene)
    if barred is not None:
        return barred
    return Fit.NOW if _is_free(seat) else Fit.WHEN_FREE


def _barred(job: Job, seats: Sequence[Seat], scene: Scene) -> Fit | None:
    """Why the job may use none of these seats, whatever is free; None: it may use one."""
    allowed = [seat for seat in seats if scene.caps.allowed(job, seat)]
    if not allowed:
        return Fit.NOT_ALLOWED
    offered = any(scene.equipment.offers(job, seat.worker) for seat in allowed)
    return None if offered else Fit.LACKING


def _is_free(seat: Seat) -> bool:
    return not seat.job and seat.heard and seat.state is WorkerState.READY


def _on_card(job: Job, card: Card, scene: Scene) -> Fit:
    up = [seat for seat in card.seats if seat.heard and seat.state is not WorkerState.DOWN]
    if not card.heard or not up:
        return Fit.SILENT
    barred = _barred(job, up, scene)
    if barred is not None:
        return barred
    room, seats = scene.room, [seat for seat in up if scene.may_use(job, seat)]
    free = [seat for seat in seats if _is_free(seat)]
    if not job.need_bytes:
        return Fit.NOW if free else Fit.WHEN_FREE
    if any(fitting_bytes(job, seat, room) is not None for seat in free):
        return Fit.NOW
    if room.whole.wants(job) and room.whole.offers(job, card):
        return Fit.ALONE
    told = any(seat.worker.limit is not MemoryLimit.OBSERVED for seat in seats)
    least = job.curve[0].bytes if told and job.curve else job.need_bytes
    if least <= _left(card, card.capacity):
        return Fit.WHEN_FREE
    if least <= _left(card, empty_capacity_bytes(card.gpu, scene.config.safety)):
        return Fit.WHEN_OTHERS_LEAVE
    return Fit.NEVER


def _left(card: Card, capacity: int) -> int:
    """What is left for one worker when the others of the GPU are empty."""
    floors = sorted(seat.floor for seat in card.seats)
    return capacity - sum(floors[1:])
