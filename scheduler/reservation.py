"""How many bytes a job is promised on a worker (pure).

A workflow has no single need but a curve of time over memory (measured: a
batch that takes 17 GiB if it may is 12 % slower in 12). Where a worker keeps
within what it is told, any step of the curve will do, and the one that lets
the GPU do most is chosen. Where nothing keeps it there, it gets what it would take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from scheduler.placement import BASE_BYTES, Card, Room, Seat
from scheduler.sharing import even_stretch, gain
from scheduler.states import Job, MemoryLimit, Step

#: models that are folded into another one's weights: they hold no memory of their own
_PATCHES: Final = ("loras/", "hypernetworks/")


def steps_of(job: Job) -> tuple[Step, ...]:
    """All reservations a job runs in, fewest bytes first; the last is its comfortable peak."""
    return (*job.curve, Step(job.need_bytes, job.need_seconds))


def worthwhile(job: Job, beside: int) -> tuple[Step, ...]:
    """Reservations in which the job may run beside so many others, fewest bytes first.

    A smaller step pays only while it costs the job less than one more worker gains
    the GPU: 1.41 times its comfortable run time beside one other, 1.16 beside two.
    """
    if not beside:
        return steps_of(job)
    longest = job.need_seconds * gain(beside + 1) / gain(beside)
    return tuple(step for step in steps_of(job) if step.seconds <= longest)


def bearable(job: Job, beside: int) -> tuple[Step, ...]:
    """Reservations with which the GPU still does no less than without the job, fewest bytes first.

    More than ``worthwhile`` allows: it is not started with so little, but nothing is kept
    from starting for its sake where so much is free.
    """
    if not beside:
        return steps_of(job)
    longest = job.need_seconds * even_stretch(beside)
    return tuple(step for step in steps_of(job) if step.seconds <= longest)


def least_bytes(job: Job, seat: Seat) -> int:
    """The smallest reservation with which the job may start on this worker.

    Told no limit, ComfyUI unloads another model only when the *card* is full: so on
    a worker that holds other models both are counted, or a neighbour would pay for it,
    even where all that the job needs is loaded already.
    """
    if seat.worker.limit is not MemoryLimit.OBSERVED:
        return worthwhile(job, seat.card.running if seat.card is not None else 0)[0].bytes
    others = [m for m in seat.models if m not in job.models and not m.startswith(_PATCHES)]
    if seat.models and not others:
        return job.need_bytes
    # without a word of models: what an agent that was started anew found, or could not free
    sizes = zip(job.models, job.model_bytes, strict=False)
    shared = sum(bytes_ for model, bytes_ in sizes if model in seat.models)
    return job.need_bytes + max(0, seat.used - BASE_BYTES - shared)


def fitting_bytes(job: Job, seat: Seat, room: Room) -> int | None:
    """The largest useful reservation for the job on this worker now; None: it does not fit."""
    headroom = seat.headroom
    if headroom <= 0:
        return None
    observed = seat.worker.limit is MemoryLimit.OBSERVED
    least = least_bytes(job, seat)
    if least <= headroom:
        return least if observed else min(job.need_bytes, headroom)
    if observed and seat.sole and job.need_bytes <= headroom:
        # with the card to itself it makes room among its own models
        return headroom
    if not seat.alone or seat.releasable or not room.whole.wants(job):
        return None
    return headroom if seat.card and room.whole.offers(job, seat.card) else None


def choose_step(job: Job, seat: Seat, most: int, waiting: Sequence[Job]) -> Step:
    """The step of the curve with which this GPU gets most done.

    Each step is judged with the next job beside it, on the worker that will have most
    room then: ``gain(n) ÷ n × Σ relative speeds`` of what would run. Of equal ones the
    smallest is taken while others wait: a third job may need what it leaves.

    Args:
        job: to be started.
        seat: where.
        most: the largest reservation there is for it (``fitting_bytes``).
        waiting: jobs that may start beside it, next ones first.
    """
    card = seat.card
    if seat.worker.limit is MemoryLimit.OBSERVED or card is None:
        return Step(most, job.need_seconds)
    steps = [step for step in _beside(job, card, most) if step.bytes <= most]
    if not steps:
        return Step(most, job.need_seconds)
    # what lies between two steps would be held and not used
    best = steps.pop()
    others = [other for other in card.seats if other is not seat and other.heard]
    if not steps or not others or not waiting:
        return best
    # what the job beside it could have: all that this one leaves, and the largest other hold
    shared = seat.headroom + max(other.hold for other in others)
    busy = card.running
    idle = any(not other.job for other in others)

    def done(step: Step) -> tuple[float, int]:
        left = shared - step.bytes
        beside = max(_speed(other, left, busy) for other in waiting)
        count = max(1, busy + (idle and beside > 0)) + (beside > 0 or busy > 0)
        steady = max(0, count - 1 - (beside > 0))
        return gain(count) / count * (_speed(job, step.bytes, 0) + beside + steady), -step.bytes

    return max((best, *steps), key=done)


def _beside(job: Job, card: Card, most: int) -> tuple[Step, ...]:
    """Steps with which it may have somebody beside it; all of them where those are too large."""
    steps = worthwhile(job, max(1, card.running) if len(card.seats) > 1 else 0)
    return steps if steps[0].bytes <= most else steps_of(job)


def _speed(job: Job, bytes_: int, beside: int) -> float:
    """How fast a job runs with so many bytes, relative to its comfortable peak; 0: not at all."""
    if bytes_ >= job.need_bytes:
        return 1.0
    steps = [step.seconds for step in worthwhile(job, beside) if step.bytes <= bytes_]
    return job.need_seconds / min(steps) if steps and min(steps) > 0 else 0.0


def _seconds_between(job: Job, bytes_: int) -> float:
    """Run time with a reservation between two steps: that of the next smaller one."""
    below = [step for step in steps_of(job) if step.bytes <= bytes_]
    return below[-1].seconds if below else job.need_seconds


def seconds_with(job: Job, bytes_: int) -> float:
    """Expected run time with this reservation, models loaded."""
    return job.need_seconds if bytes_ >= job.need_bytes else _seconds_between(job, bytes_)
