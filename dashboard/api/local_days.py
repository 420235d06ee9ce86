"""Days of a time zone: what is stored by the hour of UTC, added up by the day that people have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


def stretches(from_ms: int, until_ms: int, zone: ZoneInfo) -> Iterator[tuple[int, int, int]]:
    """The span in parts within which the zone is equally far from UTC: from, until, ms ahead.

    Both ends are whole hours. Clocks are taken to change at whole hours of UTC.
    """
    begin = at = from_ms
    ahead = _ahead_ms(at, zone)
    while at < until_ms:
        step = min(DAY_MS, until_ms - at)
        if _ahead_ms(at + step - 1, zone) != ahead:
            step = HOUR_MS
        at += step
        if at < until_ms and (now := _ahead_ms(at, zone)) != ahead:
            yield begin, at, ahead
            begin, ahead = at, now
    if begin < until_ms:
        yield begin, until_ms, ahead


def name_of(begin_ms: int, ahead_ms: int) -> str:
    """``2026-11-25``: of the day that begins then, where clocks are so far ahead of UTC."""
    return f"{datetime.fromtimestamp((begin_ms + ahead_ms) / 1000, UTC):%Y-%m-%d}"


def names(from_ms: int, until_ms: int, zone: ZoneInfo) -> list[str]:
    """All days that the span has a part of."""
    found: dict[str, None] = {}
    for begin, end, ahead in stretches(from_ms, until_ms, zone):
        for at in range(begin, end, HOUR_MS):
            found[name_of(at, ahead)] = None
    return list(found)


def _ahead_ms(at_ms: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds() * 1000)
