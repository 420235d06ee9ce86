"""Who used what in an hour, in whole numbers: pure functions over what the recorder wrote.

Nothing is rounded that is added up later: each stretch of a GPU's time is dealt out to the
microsecond, each second's energy to the millijoule, so that all users' parts make up the whole.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """What usage is counted by."""

    user: str
    group: str
    fingerprint: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """An attempt on a worker."""

    job: str
    attempt: int
    account: Account
    #: "": it computed on none
    gpu: str
    admitted_ms: int
    #: None: it never ran
    claimed_ms: int | None
    #: None: it has not ended
    ended_ms: int | None
    reserved_bytes: int
    cost_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """A job's end, and how long it waited for its first admission."""

    account: Account
    gpu: str
    ended_ms: int
    failed: bool
    wait_ms: int


@dataclass(frozen=True, slots=True)
class Power:
    """What a GPU drew for a while, in the mean."""

    gpu: str
    at_ms: int
    milliwatts: int
    #: a second, or more where only longer samples are left
    seconds: int = 1


@dataclass(slots=True)
class Used:
    """One account's sums on one GPU in one hour; ``store.history_schema.usage`` has the units."""

    gpu_us: int = 0
    byte_ms: int = 0
    cost_us: int = 0
    energy_mj: int = 0
    jobs: int = 0
    failed: int = 0
    wait_ms: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which the same attempts ran on a GPU."""

    from_ms: int
    until_ms: int
    running: tuple[Stay, ...]


#: (hour, GPU, account) → sums
Sums = dict[tuple[int, str, Account], Used]


def add_up(
    stays: Sequence[Stay],
    ends: Iterable[EndedJob],
    power: Iterable[Power],
    from_ms: int,
    until_ms: int,
) -> Sums:
    """All sums of whole hours.

    Args:
        stays: all attempts that were on a worker at any time between the two, and more.
        ends: jobs that ended between the two.
        power: readings between the two.
        from_ms: the first hour's start.
        until_ms: the last hour's end, or now: attempts that go on are counted up to then.
    """
    sums: Sums = defaultdict(Used)
    by_gpu: dict[str, list[Stay]] = defaultdict(list)
    for stay in stays:
        _add_reservation(sums, stay, from_ms, until_ms)
        if stay.gpu and stay.claimed_ms is not None:
            by_gpu[stay.gpu].append(stay)
    stretches = {gpu: list(cut(own, from_ms, until_ms)) for gpu, own in by_gpu.items()}
    for gpu, cuts in stretches.items():
        for stretch in cuts:
            micros = (stretch.until_ms - stretch.from_ms) * 1000
            for stay, part in zip(stretch.running, deal(micros, len(stretch.running)), strict=True):
                sums[_hour(stretch.from_ms), gpu, stay.account].gpu_us += part
    _add_energy(sums, stretches, power)
    for end in ends:
        used = sums[_hour(end.ended_ms), end.gpu, end.account]
        used.jobs += 1
        used.failed += end.failed
        used.wait_ms += end.wait_ms
    return dict(sums)


def deal(amount: int, parts: int) -> list[int]:
    """Cut a whole number into as many whole numbers as near to one another as can be."""
    each, left = divmod(amount, parts)
    return [each + (place < left) for place in range(parts)]


def cut(stays: Sequence[Stay], from_ms: int, until_ms: int) -> Iterator[Stretch]:
    """The stretches of one GPU's time in which something ran, none across an hour's end."""
    changes: dict[int, tuple[list[Stay], list[Stay]]] = defaultdict(lambda: ([], []))
    for stay in stays:
        begin = max(stay.claimed_ms or 0, from_ms)
        end = until_ms if stay.ended_ms is None else min(stay.ended_ms, until_ms)
        if begin < end:
            changes[begin][0].append(stay)
            changes[end][1].append(stay)
    for hour in range(_hour(from_ms), until_ms, HOUR_MS):
        if from_ms <= hour:
            changes[hour]
    running: dict[tuple[str, int], Stay] = {}
    last = from_ms
    for at in sorted(changes):
        if running and last < at:
            yield Stretch(last, at, tuple(running[key] for key in sorted(running)))
        last = at
        began, ended = changes[at]
        for stay in ended:
            running.pop((stay.job, stay.attempt), None)
        running |= {(stay.job, stay.attempt): stay for stay in began}


def _add_reservation(sums: Sums, stay: Stay, from_ms: int, until_ms: int) -> None:
    end = until_ms if stay.ended_ms is None else min(stay.ended_ms, until_ms)
    at = max(stay.admitted_ms, from_ms)
    while at < end:
        stop = min(_hour(at) + HOUR_MS, end)
        if stay.reserved_bytes:
            used = sums[_hour(at), stay.gpu, stay.account]
            used.byte_ms += stay.reserved_bytes * (stop - at)
        at = stop
    if stay.cost_us and stay.ended_ms is not None and from_ms <= stay.ended_ms < until_ms:
        sums[_hour(stay.ended_ms), stay.gpu, stay.account].cost_us += stay.cost_us


def _add_energy(sums: Sums, stretches: dict[str, list[Stretch]], power: Iterable[Power]) -> None:
    starts = {gpu: [stretch.from_ms for stretch in cuts] for gpu, cuts in stretches.items()}
    for reading in power:
        cuts = stretches.get(reading.gpu)
        if not cuts:
            continue
        # each second is its own: it belongs to those who ran when it began
        for at_ms in range(reading.at_ms, reading.at_ms + reading.seconds * 1000, 1000):
            place = bisect_right(starts[reading.gpu], at_ms) - 1
            if place < 0 or at_ms >= cuts[place].until_ms:
                continue  # what an idle GPU draws is nobody's
            running = cuts[place].running
            # milliwatts for a second are millijoules
            for stay, part in zip(running, deal(reading.milliwatts, len(running)), strict=True):
                sums[_hour(at_ms), reading.gpu, stay.account].energy_mj += part


def _hour(at_ms: int) -> int:
    return at_ms - at_ms % HOUR_MS
