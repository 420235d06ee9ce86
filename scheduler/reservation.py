"""How many bytes a job is promised on a worker (pure).

A workflow has no single need but a curve of time over memory (measured: a
batch that takes 17 GiB if it may is 12 % slower in 12). Where a worker keeps
within what it is told, any step of the curve will do, and the one that lets
the GPU do most is chosen. Where nothing keeps it there, it gets what it would take.
"""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.placement import BASE_BYTES, Room, Seat
from scheduler.sharing import gain
from scheduler.states import Job, MemoryLimit, Step


def steps_of(job: Job) -> tuple[Step, ...]:
    """All reservations a job runs in, fewest bytes first; the last is its comfortable peak."""
    return (*job.curve, Step(job.need_bytes, job.need_seconds))


def least_bytes(job: Job, seat: Seat) -> int:
    """The smallest reservation with which the job may start on this worker.

    Told no limit, ComfyUI unloads another model only when the *card* is full: so on
    a worker that holds other models both are counted, or a neighbour would pay for it.
    """
    if seat.worker.limit is not MemoryLimit.OBSERVED:
        return job.curve[0].bytes if job.curve else job.need_bytes
    if not seat.models or set(job.models) <= set(seat.models):
        return job.need_bytes
    return job.need_bytes + max(0, seat.used - BASE_BYTES)


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
    if room.wants_a_whole_gpu(job) and seat.alone and not seat.releasable:
        return headroom
    return None


def choose_step(job: Job, seat: Seat, most: int, waiting: Sequence[int]) -> Step:
    """The step of the curve with which this GPU gets most done.

    Compared are the comfortable step alone, and each smaller one with one more
    waiting job beside it: ``gain(n) ÷ n × Σ relative speeds`` of what would run.

    Args:
        job: to be started.
        seat: where.
        most: the largest reservation there is for it (``fitting_bytes``).
        waiting: least bytes of the jobs that could start beside it, next one first.
    """
    if seat.worker.limit is MemoryLimit.OBSERVED or seat.card is None:
        return Step(most, job.need_seconds)
    steps = [step for step in steps_of(job) if step.bytes <= most]
    if not steps:
        return Step(most, job.need_seconds)
    best = steps[-1]
    if steps[-1].bytes < job.need_bytes:
        best = Step(most, _seconds_between(job, most))
    free_seats = sum(1 for s in seat.card.seats if not s.job and s.heard and s is not seat)
    if not free_seats or not waiting:
        return best
    headroom = seat.headroom
    running = seat.card.running
    options = [best, *(step for step in steps if step.bytes < best.bytes)]
    return max(options, key=lambda step: _throughput(job, step, headroom, running, waiting))


def _throughput(
    job: Job, step: Step, headroom: int, running: int, waiting: Sequence[int]
) -> tuple[float, int]:
    speed = job.need_seconds / step.seconds if step.seconds > 0 else 1.0
    left = headroom - step.bytes
    beside = any(bytes_ <= left for bytes_ in waiting)
    count = running + 1 + beside
    return gain(count) / count * (running + speed + beside), step.bytes


def _seconds_between(job: Job, bytes_: int) -> float:
    """Run time with a reservation between two steps: that of the next smaller one."""
    below = [step for step in steps_of(job) if step.bytes <= bytes_]
    return below[-1].seconds if below else job.need_seconds


def seconds_with(job: Job, bytes_: int) -> float:
    """Expected run time with this reservation, models loaded."""
    return job.need_seconds if bytes_ >= job.need_bytes else _seconds_between(job, bytes_)
