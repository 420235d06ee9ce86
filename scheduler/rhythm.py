"""What is asked for at which hour of the week, as history has it (pure).

A week has 168 hours, in the pool's time zone. For each hour and model the table
holds requests and the seconds of interactive work, and for each hour how many
weeks were watched. A week counts half after four further ones, in all three alike,
so that a rate stays a rate while old habits fade:

    weight of what is a weeks old     2^(−a/4)
    smoothed over neighbours          x̄[h] = x[h−1]/6 + 2·x[h]/3 + x[h+1]/6
    rate, per hour of time            (n̄[h] + κ·m) / (w̄[h] + κ),  m = Σn / max(Σw, 168)
    prior, in weeks                   κ = min(½, 1 / requests an hour in the mean)

The first is exponential smoothing, the second a cubic B-spline (people come at nine,
or at ten to nine), the third the posterior mean of a Poisson rate under an exponential
prior (a Gamma of shape 1) with the week's mean (Gelman et al., *Bayesian Data Analysis*,
2.6): where little was asked for, an hour is expected to be as the whole week is. The
prior never weighs more than half a week, else rare models would need years.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

HOURS: Final = 168
HOUR_MS: Final = 3_600_000
WEEK_MS: Final = HOURS * HOUR_MS
_DAY_MS: Final = 24 * HOUR_MS
#: History is read in stretches of this length: time zones differ by half hours.
STRETCH_MS: Final = HOUR_MS // 2
#: Older history weighs less than an eighth and is not read.
MEMORY_MS: Final = 12 * WEEK_MS
#: Before so much was watched, a peak of one week may have been a whim.
LEAST_MS: Final = 2 * WEEK_MS
_HALF_WEEKS: Final = 4.0
#: The prior weighs as much as so many requests, and at most as so many weeks.
_PRIOR_REQUESTS: Final = 1.0
_PRIOR_WEEKS: Final = 0.5
#: Models that are kept by name, those asked for most; the others count together.
_MOST_MODELS: Final = 200
_OTHERS: Final = ""
_VERSION: Final = 1
_DIGITS: Final = 4

Cells = tuple[float, ...]
_NOTHING: Final[Cells] = (0.0,) * HOURS


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What was asked of one model within one stretch of history."""

    #: its beginning, ms since the epoch
    at_ms: int
    #: main model, ``folder/name``; "": none, or not known
    model: str
    requests: float
    #: worker time of the interactive ones among them
    seconds: float
    #: size and time to load, as far as known
    bytes: int = 0
    load_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """One model's week; weighted sums by hour, Monday 0:00 first."""

    requests: Cells = _NOTHING
    seconds: Cells = _NOTHING
    bytes: int = 0
    load_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """Hours in a row in which interactive work is expected to need most of the pool."""

    begin_ms: int
    end_ms: int
    #: workers busy with it in its busiest hour
    load: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """The table. Times of it are hours of the week of a zone that only its user knows."""

    since_ms: int = 0
    until_ms: int = 0
    #: weighted weeks in which each hour was watched
    watched: Cells = _NOTHING
    habits: Mapping[str, Habit]

    @property
    def is_trusted(self) -> bool:
        """Whether it has seen enough weeks to tell a habit from a whim."""
        return self.until_ms - self.since_ms >= LEAST_MS

    def week_of(self, model: str) -> Cells:
        """Requests per second expected of a model, by hour of the week."""
        habit = self.habits.get(model)
        return self._rates(habit.requests, self._prior(habit.requests)) if habit else _NOTHING

    def expected(self, model: str, at_ms: int, zone: tzinfo = UTC) -> float:
        """Requests per second expected of a model in the hour that begins at ``at_ms``."""
        return _coming_hour(self.week_of(model), at_ms, zone)

    def load(self) -> Cells:
        """Workers that interactive work is expected to keep busy, by hour of the week."""
        habits = list(self.habits.values())
        requests = _summed([habit.requests for habit in habits])
        return self._rates(_summed([habit.seconds for habit in habits]), self._prior(requests))

    def peaks(
        self, from_ms: int, until_ms: int, *, workers: int, share: float, zone: tzinfo = UTC
    ) -> list[Peak]:
        """Peaks of interactive work that begin, or last, within a time of a week at most.

        An hour is one if more than ``share`` of the workers should be busy then, and more
        than in the mean of the week: a pool that is always full has no peaks, and
        waiting for their end would never end.
        """
        load = self.load()
        least = max(share * workers, math.fsum(load) / HOURS)
        found: list[Peak] = []
        at = _hour_begin(from_ms, zone)
        while at < min(until_ms, from_ms + WEEK_MS):
            height = load[hour_of_week(at, zone)]
            if height > least:
                if found and found[-1].end_ms == at:
                    last = found.pop()
                    found.append(_joined(last, at + HOUR_MS, height))
                else:
                    found.append(Peak(begin_ms=at, end_ms=at + HOUR_MS, load=height))
            at += HOUR_MS
        return found

    def peak_ahead(
        self, at_ms: int, *, lead_ms: int, workers: int, share: float, zone: tzinfo = UTC
    ) -> Peak | None:
        """The peak that lasts now or begins within ``lead_ms``; None, also while untrusted.

        Its begin is seen a day back, its end a day ahead.
        """
        if not self.is_trusted or workers <= 0:
            return None
        days = self.peaks(
            at_ms - _DAY_MS,
            at_ms + lead_ms + _DAY_MS,
            workers=workers,
            share=share,
            zone=zone,
        )
        near = (p for p in days if p.end_ms > at_ms and p.begin_ms <= at_ms + lead_ms)
        return next(near, None)

    def to_json(self) -> bytes:
        """Small: hours in which nothing was asked take no place."""
        record = {
            "version": _VERSION,
            "since_ms": self.since_ms,
            "until_ms": self.until_ms,
            "watched": [_rounded(x) for x in self.watched],
            "habits": {
                name: [_sparse(one.requests), _sparse(one.seconds), one.bytes, one.load_seconds]
                for name, one in self.habits.items()
            },
        }
        return json.dumps(record, separators=(",", ":")).encode()

    def _watched(self) -> float:
        """Weighted hours; a first week counts as whole, so that one evening is no week."""
        return max(math.fsum(self.watched), float(HOURS))

    def _prior(self, requests: Cells) -> float:
        """Weeks that the mean weighs as much as."""
        asked, watched = math.fsum(requests), self._watched()
        if asked * _PRIOR_WEEKS <= watched * _PRIOR_REQUESTS:
            return _PRIOR_WEEKS
        return _PRIOR_REQUESTS * watched / asked

    def _rates(self, sums: Cells, prior: float) -> Cells:
        """Per second, by hour; the formula at the top."""
        mean = math.fsum(sums) / self._watched()
        smooth, weeks = _smoothed(sums), _smoothed(self.watched)
        return tuple(
            (n + prior * mean) / (w + prior) / (HOUR_MS / 1000)
            for n, w in zip(smooth, weeks, strict=True)
        )


def learn(usages: Iterable[Usage], *, since_ms: int, until_ms: int, zone: tzinfo = UTC) -> Rhythm:
    """The week as history shows it.

    Args:
        usages: in any order; what lies outside of the time is left out.
        since_ms: when watching began; at most ``MEMORY_MS`` of it are used.
        until_ms: now.
        zone: whose hours they are.
    """
    since = max(since_ms, until_ms - MEMORY_MS)
    since -= since % STRETCH_MS
    watched = [0.0] * HOURS
    for at in range(since, until_ms, STRETCH_MS):
        part = min(STRETCH_MS, until_ms - at) / HOUR_MS
        watched[hour_of_week(at, zone)] += part * _weight(at, until_ms)
    drafts: dict[str, _Draft] = {}
    for usage in usages:
        if since <= usage.at_ms < until_ms:
            draft = drafts.setdefault(usage.model, _Draft())
            draft.add(usage, hour_of_week(usage.at_ms, zone), _weight(usage.at_ms, until_ms))
    return Rhythm(since_ms=since, until_ms=until_ms, watched=tuple(watched), habits=_habits(drafts))


def from_json(text: bytes) -> Rhythm | None:
    """What ``to_json`` wrote; None: another version's, or nothing of ours."""
    try:
        data: Any = json.loads(text)
        if data["version"] != _VERSION or len(data["watched"]) != HOURS:
            return None
        return Rhythm(
            since_ms=int(data["since_ms"]),
            until_ms=int(data["until_ms"]),
            watched=tuple(_plain(x) for x in data["watched"]),
            habits={
                name: Habit(
                    requests=_dense(requests),
                    seconds=_dense(seconds),
                    bytes=int(size),
                    load_seconds=_plain(load),
                )
                for name, (requests, seconds, size, load) in data["habits"].items()
            },
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None


def hour_of_week(at_ms: int, zone: tzinfo) -> int:
    """0 is Monday's first hour in that zone."""
    local = datetime.fromtimestamp(at_ms / 1000, zone)
    return local.weekday() * 24 + local.hour


class _Draft:
    """A habit that is being added up."""

    __slots__ = ("bytes", "load_seconds", "newest_ms", "requests", "seconds")

    def __init__(self) -> None:
        self.requests = [0.0] * HOURS
        self.seconds = [0.0] * HOURS
        self.bytes = 0
        self.load_seconds = 0.0
        self.newest_ms = 0

    def add(self, usage: Usage, hour: int, weight: float) -> None:
        """Count a stretch; size and load time are the newest that are known."""
        self.requests[hour] += weight * usage.requests
        self.seconds[hour] += weight * usage.seconds
        if usage.at_ms >= self.newest_ms:
            self.newest_ms = usage.at_ms
            self.bytes = usage.bytes or self.bytes
            self.load_seconds = usage.load_seconds or self.load_seconds

    def merge(self, other: _Draft) -> None:
        """Count another model's as this one's."""
        self.requests = [a + b for a, b in zip(self.requests, other.requests, strict=True)]
        self.seconds = [a + b for a, b in zip(self.seconds, other.seconds, strict=True)]


def _habits(drafts: dict[str, _Draft]) -> dict[str, Habit]:
    named = sorted(drafts.keys() - {_OTHERS}, key=lambda name: (-sum(drafts[name].requests), name))
    for name in named[_MOST_MODELS:]:
        drafts.setdefault(_OTHERS, _Draft()).merge(drafts.pop(name))
    return {
        name: Habit(
            requests=tuple(draft.requests),
            seconds=tuple(draft.seconds),
            bytes=draft.bytes if name else 0,
            load_seconds=draft.load_seconds if name else 0.0,
        )
        for name, draft in sorted(drafts.items())
    }


def _weight(at_ms: int, now_ms: int) -> float:
    return math.exp2(-(now_ms - at_ms) / WEEK_MS / _HALF_WEEKS)


def _smoothed(cells: Cells) -> Cells:
    return tuple(
        (cells[h - 1] + 4 * cells[h] + cells[(h + 1) % HOURS]) / 6 for h in range(len(cells))
    )


def _summed(rows: Sequence[Cells]) -> Cells:
    return tuple(math.fsum(cells) for cells in zip(_NOTHING, *rows, strict=True))


def _coming_hour(rates: Cells, at_ms: int, zone: tzinfo) -> float:
    hour = hour_of_week(at_ms, zone)
    gone = (at_ms - _hour_begin(at_ms, zone)) / HOUR_MS
    return (1 - gone) * rates[hour] + gone * rates[(hour + 1) % HOURS]


def _hour_begin(at_ms: int, zone: tzinfo) -> int:
    local = datetime.fromtimestamp(at_ms / 1000, zone)
    into = (local.minute * 60 + local.second) * 1000 + at_ms % 1000
    return at_ms - into


def _joined(peak: Peak, end_ms: int, load: float) -> Peak:
    return Peak(begin_ms=peak.begin_ms, end_ms=end_ms, load=max(peak.load, load))


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _sparse(cells: Cells) -> dict[str, float]:
    return {str(hour): _rounded(x) for hour, x in enumerate(cells) if x > 0}


def _dense(cells: Mapping[str, float]) -> Cells:
    dense = [0.0] * HOURS
    for hour, value in cells.items():
        dense[int(hour)] = _plain(value)
    return tuple(dense)


def _plain(value: float) -> float:
    """A finite number, 0 or more.

    Raises:
        ValueError: it is none.
    """
    number = float(value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{value} is no amount")
    return number
