"""Which idle workers give their memory back so that a blocked job can start (pure).

Chosen is the cheapest way: the worker to run on and the residents to give up
for it, by the seconds of loading that this is expected to cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from scheduler.hosts import Hosts
from scheduler.placement import Card, Room, Seat
from scheduler.reservation import least_bytes
from scheduler.states import Job, MemoryLimit, WorkerState
from scheduler.warmth import Warmth, load_seconds


@dataclass(frozen=True, slots=True)
class Way:
    """Residents to give up, and what that and loading costs in seconds."""

    seats: tuple[Seat, ...]
    seconds: float


def cheapest_way(
    job: Job,
    seats: Iterable[Seat],
    room: Room,
    warmth: Warmth,
    may_use: Callable[[Seat], bool],
) -> Way | None:
    """The cheapest releases after which the job fits on one of the idle seats; None: no way.

    Args:
        job: blocked by bytes.
        seats: idle ones.
        room: the plan's picture.
        warmth: who has which model.
        may_use: whether the job may run on a seat at all.
    """
    ways = (_way_on(job, seat, room, warmth) for seat in seats if seat.card and may_use(seat))
    found = [way for way in ways if way is not None]
    return min(found, key=lambda way: (way.seconds, len(way.seats)), default=None)


def _way_on(job: Job, seat: Seat, room: Room, warmth: Warmth) -> Way | None:
    card = seat.card
    if card is None:
        return None
    candidates = [other for other in card.seats if other.releasable]
    if room.whole.wants(job):
        busy = any(other.job for other in card.seats)
        if busy or not candidates or not room.whole.offers(job, card):
            return None
        return _way(job, seat, candidates, warmth)
    short = least_bytes(job, seat) - seat.headroom
    own = seat.worker.limit is MemoryLimit.OBSERVED
    chosen: list[Seat] = []
    for other in sorted(candidates, key=lambda other: _density(other, warmth)):
        if short <= 0:
            break
        freed = other.used - other.floor
        if other is seat:
            if not own:
                continue  # within its limit it makes room for itself
            freed = least_bytes(job, seat) - job.need_bytes
        if freed > 0:
            chosen.append(other)
            short -= freed
    if short > 0 or not chosen:
        return None
    return _way(job, seat, _needed(job, seat, chosen), warmth)


def _needed(job: Job, seat: Seat, chosen: list[Seat]) -> list[Seat]:
    """Without those that turned out not to be needed, the dearest kept first to go."""
    short = least_bytes(job, seat) - seat.headroom
    freed = {
        id(other): (
            least_bytes(job, seat) - job.need_bytes if other is seat else other.used - other.floor
        )
        for other in chosen
    }
    kept = list(chosen)
    for other in reversed(chosen):
        if sum(freed[id(one)] for one in kept) - freed[id(other)] >= short:
            kept.remove(other)
    return kept


def _way(job: Job, seat: Seat, chosen: list[Seat], warmth: Warmth) -> Way:
    lost = sum(_value(other, warmth) for other in chosen)
    loaded = () if seat in chosen else seat.models
    return Way(tuple(chosen), lost + load_seconds(job, loaded))


def _density(seat: Seat, warmth: Warmth) -> tuple[float, int]:
    """Value per byte given back: the least goes first."""
    freed = max(1, seat.used - seat.floor)
    return _value(seat, warmth) / freed, seat.order


def host_way(
    job: Job,
    seats: Iterable[Seat],
    hosts: Hosts,
    warmth: Warmth,
    may_use: Callable[[Seat], bool],
) -> Way | None:
    """The cheapest releases after which the job's machine has the memory; None: no way.

    Args:
        job: blocked by host memory.
        seats: idle ones.
        hosts: the machines' memory.
        warmth: who has which model.
        may_use: whether the job may run on a seat at all.
    """
    idle = list(seats)
    ways = (_host_way_on(job, seat, idle, hosts, warmth) for seat in idle if may_use(seat))
    found = [way for way in ways if way is not None]
    return min(found, key=lambda way: (way.seconds, len(way.seats)), default=None)


def _host_way_on(
    job: Job, seat: Seat, idle: list[Seat], hosts: Hosts, warmth: Warmth
) -> Way | None:
    missing = hosts.missing(job, seat)
    others = [
        other
        for other in idle
        if other is not seat
        and other.worker.agent == seat.worker.agent
        and hosts.releasable_bytes(other)
    ]
    others.sort(key=lambda other: (_value(other, warmth), -hosts.releasable_bytes(other)))
    chosen: list[Seat] = []
    for other in others:
        if missing <= 0:
            break
        chosen.append(other)
        missing -= hosts.releasable_bytes(other)
    if missing > 0 or not chosen:
        return None
    lost = sum(_value(other, warmth) for other in chosen)
    return Way(tuple(chosen), lost + load_seconds(job, seat.models))


def _value(seat: Seat, warmth: Warmth) -> float:
    return sum(warmth.value(model) for model in seat.models)


def under_way(job: Job, cards: Iterable[Card]) -> bool:
    """A release under way on some GPU may be all that the job waits for."""
    least = job.curve[0].bytes if job.curve else job.need_bytes
    return any(
        seat.state is WorkerState.RELEASING and seat.heard and least <= card.capacity
        for card in cards
        for seat in card.seats
    )
