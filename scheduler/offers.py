"""What a user's line could start now, and where; or why nothing (pure).

Warm before cold: first a job whose main model waits on an idle worker. Else one
for which loading now beats waiting for a worker that has its model, on the seat
where loading and what is thrown out for it cost least.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from scheduler.caps import gib
from scheduler.decisions import Wait
from scheduler.placement import Card, Seat
from scheduler.reservation import fitting_bytes, seconds_with
from scheduler.scene import Scene
from scheduler.sharing import is_worth_a_load, load_beside
from scheduler.shortage import shortage
from scheduler.states import Job, WaitReason
from scheduler.warmth import load_seconds, main_model

#: Of one user's jobs, so many with different models are tried cold before giving up.
_COLD_TRIES: Final = 4


@dataclass(frozen=True, slots=True)
class Start:
    """A job that could start: where, with how much, and what it must load there."""

    job: Job
    seat: Seat
    #: the largest useful reservation there is for it
    most: int
    #: expected seconds of loading there
    load: float
    #: expected seconds of loading that it costs the pool, evicted models included
    cost: float


def find_start(scene: Scene, jobs: Sequence[Job], *, forced: bool) -> Start | Wait:
    """The best start of a line.

    Args:
        scene: the plan's picture.
        jobs: of the line that may be started, first one first; not empty.
        forced: the first job does not wait for a warm worker.
    """
    if not scene.idle:
        return scene.nobody_free(jobs[0])
    capped = scene.caps.over(jobs[0])
    if capped is not None:
        return capped
    return _warm_start(scene, jobs) or _cold_start(scene, jobs, forced=forced)


def alike(jobs: Iterable[Job], model: str) -> int:
    """How many of the jobs need the same main model."""
    return sum(1 for job in jobs if main_model(job) == model)


def _warm_start(scene: Scene, jobs: Iterable[Job]) -> Start | None:
    """The first of these jobs whose main model waits on an idle worker."""
    idle = scene.warmth.idle
    for job in jobs:
        seats = idle.get(main_model(job)) if job.models else None
        if not seats:
            continue
        found = [start for seat in seats if (start := _start(scene, job, seat)) is not None]
        if found:
            return min(found, key=lambda start: (start.cost, start.seat.order))
    return None


def _cold_start(scene: Scene, jobs: Sequence[Job], *, forced: bool) -> Start | Wait:
    """The first of these jobs for which loading now beats waiting for a warm worker."""
    first: Wait | None = None
    for job, model in _one_of_each(scene, jobs):
        wait = None if forced else _warm_instead(scene, job, model, alike(jobs, model))
        if wait is None:
            start = _cheapest(scene, job)
            if start is not None:
                return start
            wait = why_no_room(scene, job)
        first = first or wait
    return first or why_no_room(scene, jobs[0])


def _cheapest(scene: Scene, job: Job) -> Start | None:
    """The idle seat where the job costs least, the emptiest of several; None: it fits nowhere.

    Idle seats stand emptiest first: of those where nothing is thrown out the first is best.
    """
    whole = scene.room.whole.wants(job)
    least = load_seconds(job, ()) if job.needs_gpu and not whole else -1.0
    found: list[Start] = []
    for seat in scene.idle:
        if _is_kept_quiet(scene, seat, loads=bool(job.models)):
            continue
        start = _start(scene, job, seat)
        if start is not None:
            if start.cost <= least:
                return start
            found.append(start)
    return min(found, key=lambda start: _preference(job, start, whole=whole), default=None)


def _is_kept_quiet(scene: Scene, seat: Seat, *, loads: bool) -> bool:
    """Whether a load on its GPU keeps a job from starting on a seat; ``loads``: it would load too."""
    card = seat.card
    if card is None or not card.loading:
        return False
    return card.holding or (loads and card.loading >= scene.config.cold_loads)


def _one_of_each(scene: Scene, jobs: Iterable[Job]) -> list[tuple[Job, str]]:
    """The first job of each main model, that of the model most worth a copy first.

    Jobs that not every worker can run are each a kind of their own.
    """
    first: dict[tuple[str, str], Job] = {}
    some_picky = scene.equipment.some_picky
    for job in jobs:
        picky = some_picky and scene.equipment.is_picky(job)
        kind = (main_model(job), job.requires if picky else "")
        if kind not in first:
            first[kind] = job
            if len(first) == _COLD_TRIES:
                break
    found = [(job, model) for (model, _), job in first.items()]
    if len(found) > 1:
        found.sort(key=lambda pair: -_worth(scene, *pair))
    return found


def _worth(scene: Scene, job: Job, model: str) -> float:
    """Seconds of waiting work that one more copy would have for itself, less those of its load."""
    return scene.warmth.pressure(model) - load_seconds(job, ())


def _preference(job: Job, start: Start, *, whole: bool) -> tuple[object, ...]:
    """No GPU for who needs none, the largest for who needs a whole one.

    Then the least cost; then the emptiest GPU, the least evicted.
    """
    seat = start.seat
    on_gpu = seat.card is not None
    spare = seat.headroom if on_gpu else 0
    most = -start.most if whole else 0
    return (not job.needs_gpu and on_gpu, most, start.cost, seat.used, -spare, seat.order)


def _warm_instead(scene: Scene, job: Job, model: str, jobs: int) -> Wait | None:
    """Its jobs should wait for workers that have the model, so many of this line with it.

    Either those could take all of them sooner than it is loaded here. Or one is free sooner,
    and a copy beside what runs is not worth its load there, with the work that waits for it.
    """
    if not model:
        return None
    load = load_seconds(job, ())
    at = scene.warmth.last_start(model, jobs, job.need_seconds)
    if at is None or at - scene.now_ms > load * 1000:
        at = scene.warmth.first_end(model)
        running = _running_beside(scene, job) if at is not None and job.need_seconds < load else 0
        if at is None or not running:
            return None
        beside = load_beside(job, load, running)
        if at - scene.now_ms > beside * 1000:
            return None
        if is_worth_a_load(scene.warmth.pressure(model), beside, running):
            return None
    if scene.equipment.is_picky(job) and not _has_warm_seat(scene, job, model):
        return None
    seconds = max(0, at - scene.now_ms) / 1000
    text = f"workers that have its models loaded should be free within {seconds:.0f} s"
    return Wait(job, WaitReason.WARM_SOON, text)


def _running_beside(scene: Scene, job: Job) -> int:
    """Jobs beside which the job would load, on the idle GPU where they are fewest.

    0: nothing runs there, or no such GPU is idle.
    """
    beside: dict[Card, int] = {}
    for seat in scene.idle:
        card = seat.card
        if card is not None and card not in beside and scene.may_use(job, seat):
            beside[card] = card.running
            if not beside[card]:
                return 0
    return min(beside.values(), default=0)


def _has_warm_seat(scene: Scene, job: Job, model: str) -> bool:
    """Whether a busy worker has the model loaded that the job may use at all."""
    seats = scene.room.seats.values()
    return any(seat.job and model in seat.models and scene.may_use(job, seat) for seat in seats)


def _start(scene: Scene, job: Job, seat: Seat) -> Start | None:
    """The job on this seat, or None where it may not or does not fit."""
    if seat.job or not scene.may_use(job, seat):
        return None
    card = seat.card
    if card is None or not job.needs_gpu or not job.need_bytes:
        most: int | None = 0
    else:
        most = fitting_bytes(job, seat, scene.room)
    if most is None or not scene.hosts.fits(job, seat):
        return None
    load = load_seconds(job, seat.models)
    if _is_kept_quiet(scene, seat, loads=bool(load)):
        return None
    if not _respects_shadows(scene, job, seat, most, load):
        return None
    return Start(job, seat, most, load, load + _eviction(scene, job, seat, most))


def _eviction(scene: Scene, job: Job, seat: Seat, most: int) -> float:
    """Seconds of loading again that are lost when the job pushes other models out."""
    if not seat.models or not most or set(job.models) <= set(seat.models):
        return 0.0
    stays = max(0, seat.used - seat.floor)
    gone = stays + job.need_bytes - max(most, seat.used)
    return scene.warmth.loss(seat, gone, job.models)


def _respects_shadows(scene: Scene, job: Job, seat: Seat, bytes_: int, load: float) -> bool:
    if not scene.shadows:
        return True
    late = scene.at(load + max(job.late_seconds, seconds_with(job, bytes_)))
    return all(s.job is job or s.admits(seat, bytes_, late) for s in scene.shadows)


def no_room(scene: Scene, job: Job) -> Wait | None:
    """That no idle worker has the bytes or its machine the memory for the job; None: one has."""
    seats = [seat for seat in scene.idle if scene.may_use(job, seat)]
    if not seats:
        return None
    if all(not scene.hosts.fits(job, seat) for seat in seats):
        missing = min(scene.hosts.missing(job, seat) for seat in seats)
        text = f"its machine lacks {gib(missing)} of memory for the models"
        return Wait(job, WaitReason.NO_HOST_RAM, text, seats[0].worker.agent)
    if any(_fits(scene, job, seat) for seat in seats):
        return None
    return shortage(job, seats, scene.room)


def _fits(scene: Scene, job: Job, seat: Seat) -> bool:
    counted = seat.card is not None and job.needs_gpu and job.need_bytes
    return not counted or fitting_bytes(job, seat, scene.room) is not None


def why_no_room(scene: Scene, job: Job) -> Wait:
    """No idle worker can take the job: which of the reasons it is."""
    seats = [seat for seat in scene.idle if scene.may_use(job, seat)]
    if not seats:
        return scene.nobody_free(job)
    lacking = no_room(scene, job)
    if lacking is not None:
        return lacking
    for seat in seats:
        if seat.card is not None and seat.card.loading and _fits(scene, job, seat):
            text = "models are being loaded onto the GPU; a second job beside that slows both"
            return Wait(job, WaitReason.WARM_SOON, text, seat.card.gpu.id)
    held = scene.shadows[0].job.id if scene.shadows else ""
    text = "a prompt that has waited longer gets the next GPU that comes free"
    return Wait(job, WaitReason.HELD_FOR_HEAD, text, held)
