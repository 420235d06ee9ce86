"""The place kept for a blocked job, and who may still pass it (EASY backfill; pure).

The job that is next but has no room gets a *shadow*: the GPU where it will fit
soonest, by the late ends of what runs there. Another job may start on that GPU
only if it is gone by then, or if there will be room for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scheduler.placement import Card, Room, Seat
from scheduler.reservation import bearable, worthwhile
from scheduler.states import Job, MemoryLimit


@dataclass(frozen=True, slots=True)
class Shadow:
    """What is kept for a blocked job."""

    job: Job
    card: Card
    #: the bytes that it will start with
    bytes: int
    #: server time at which there should be room
    at_ms: int

    def admits(self, seat: Seat, bytes_: int, late_ms: int) -> bool:
        """Whether a job that may run until ``late_ms`` leaves the kept place in time."""
        if seat.card is not self.card or late_ms <= self.at_ms:
            return True
        later = [s for s in self.card.seats if s is not seat and _runs_past(s, self.at_ms)]
        # one worker must be free for it, and its bytes beside all that still runs
        if len(later) + 1 >= len(self.card.seats):
            return False
        held = sum(s.hold for s in later) + bytes_
        resting = sum(s.floor for s in self.card.seats if s is not seat and s not in later)
        return held + resting + self.bytes <= self.card.capacity


def _runs_past(seat: Seat, at_ms: int) -> bool:
    return bool(seat.job) and seat.late_ms > at_ms


def cast_shadow(
    job: Job, cards: Iterable[Card], room: Room, now_ms: int, *, forced: bool = False
) -> Shadow | None:
    """The shadow of a job that has no room now; None: no GPU could ever hold it.

    Args:
        job: blocked.
        cards: those with a worker that the job may use.
        room: the plan's picture.
        now_ms: server time.
        forced: it has waited long enough to be given what it may start with; else no GPU is
            emptied for a job that could bear to run with what is free.
    """
    whole = room.whole.wants(job)
    best: Shadow | None = None
    for card in cards:
        if whole and not room.whole.offers(job, card):
            continue
        need = card.capacity if whole else _least(job, card, forced=forced)
        if need > card.capacity:
            continue
        at = _room_at(card, need, now_ms)
        # room by now: something else keeps it from starting, and it needs no place kept
        if at > now_ms and (best is None or at < best.at_ms):
            best = Shadow(job, card, need, at)
    return best


def _least(job: Job, card: Card, *, forced: bool) -> int:
    """Bytes that must come free there before the job should start."""
    if all(seat.worker.limit is MemoryLimit.OBSERVED for seat in card.seats):
        return job.need_bytes
    beside = min(1, len(card.seats) - 1)
    return (worthwhile if forced else bearable)(job, beside)[0].bytes


def _room_at(card: Card, need: int, now_ms: int) -> int:
    """When so many bytes and a worker are free, all idle residency having been released."""
    resting = sum(seat.floor for seat in card.seats)
    free = card.capacity - resting + min((seat.floor for seat in card.seats), default=0)
    busy = sorted((seat for seat in card.seats if seat.job), key=lambda seat: seat.late_ms)
    free -= sum(max(0, seat.hold - seat.floor) for seat in busy)
    at = now_ms
    idle = len(card.seats) - len(busy)
    for seat in busy:
        if idle and free >= need:
            break
        free += max(0, seat.hold - seat.floor)
        idle += 1
        at = max(at, seat.late_ms)
    return at
