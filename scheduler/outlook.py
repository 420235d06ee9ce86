"""What the leader makes of the pool's rhythm: rates of the coming hour, and when batch waits (pure)."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final

from scheduler.plan_config import Demand
from scheduler.rhythm import Peak, Rhythm

#: Rates and peaks change by the hour; they are reckoned anew this often.
_STEP_MS: Final = 60_000
#: A peak that has lasted this long should be felt.
_FELT_MS: Final = 900_000
#: Work that came counts half after so long, and must be at least this share of what was
#: expected: on a holiday nobody comes, and batch jobs need not wait for them.
_HALF_LIFE_MS: Final = 900_000
_LEAST_SHARE: Final = 0.5
_DECAY: Final = math.log(2) / _HALF_LIFE_MS
#: Models that are wanted for the coming hour at most: more than pools hold at a time.
_MOST_MODELS: Final = 100
_UNKNOWN: Final = Demand(rate=0.0, load_seconds=0.0, bytes=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """Which peaks batch jobs wait for."""

    #: an hour is one if interactive work should keep more than this share of workers busy
    share: float
    #: they wait from so long before it begins
    lead_ms: int
    zone: tzinfo = UTC


_Rates = tuple[int, tzinfo]
_Peaks = tuple[int, int, Horizon]


class Outlook:
    """The rhythm, and how much of the work expected now has come. Knows no clock."""

    def __init__(self) -> None:
        self._rhythm: Rhythm | None = None
        #: seconds of interactive work that came, decayed to ``_came_ms``
        self._came = 0.0
        self._came_ms = 0
        #: what was reckoned last, with what it depends on
        self._rates: tuple[_Rates, Mapping[str, float]] | None = None
        self._peak: tuple[_Peaks, Peak | None] | None = None

    def follow(self, rhythm: Rhythm | None) -> None:
        """Use this table from now on; None: there is none."""
        self._rhythm = rhythm
        self._rates = self._peak = None

    def came(self, at_ms: int, seconds: float) -> None:
        """Count interactive work that was admitted."""
        self._came = self._still(at_ms) + seconds
        self._came_ms = max(self._came_ms, at_ms)

    def demand(
        self, recent: Mapping[str, Demand], now_ms: int, zone: tzinfo = UTC
    ) -> Mapping[str, Demand]:
        """Recent rates, raised to what is expected of the coming hour, never lowered.

        Models that are expected and were not asked for lately are added.
        """
        if self._rhythm is None:
            return recent
        blended = dict(recent)
        for model, rate in self._expected(self._rhythm, now_ms, zone).items():
            known, habit = blended.get(model, _UNKNOWN), self._rhythm.habits[model]
            blended[model] = Demand(
                rate=max(known.rate, rate),
                load_seconds=known.load_seconds or habit.load_seconds,
                bytes=known.bytes or habit.bytes,
            )
        return blended

    def peak(self, now_ms: int, workers: int, horizon: Horizon) -> Peak | None:
        """The peak for which batch jobs wait now; None: they need not.

        None too when a peak has lasted for a quarter of an hour and hardly anybody came.
        """
        if self._rhythm is None:
            return None
        peak = self._peak_near(self._rhythm, now_ms, workers, horizon)
        if peak is None or self._is_missed(peak, now_ms, workers * horizon.share):
            return None
        return peak

    def _is_missed(self, peak: Peak, now_ms: int, least: float) -> bool:
        if now_ms - peak.begin_ms < _FELT_MS:
            return False
        return self._still(now_ms) * _DECAY * 1000 < _LEAST_SHARE * least

    def _still(self, at_ms: int) -> float:
        return self._came * math.exp(-_DECAY * max(0, at_ms - self._came_ms))

    def _expected(self, rhythm: Rhythm, now_ms: int, zone: tzinfo) -> Mapping[str, float]:
        key = (now_ms // _STEP_MS, zone)
        if self._rates is None or self._rates[0] != key:
            found = {model: rhythm.expected(model, now_ms, zone) for model in rhythm.habits}
            wanted = [model for model, rate in found.items() if model and rate]
            most = heapq.nlargest(_MOST_MODELS, wanted, key=found.__getitem__)
            self._rates = (key, {model: found[model] for model in most})
        return self._rates[1]

    def _peak_near(
        self, rhythm: Rhythm, now_ms: int, workers: int, horizon: Horizon
    ) -> Peak | None:
        key = (now_ms // _STEP_MS, workers, horizon)
        if self._peak is None or self._peak[0] != key:
            found = rhythm.peak_ahead(
                now_ms,
                lead_ms=horizon.lead_ms,
                workers=workers,
                share=horizon.share,
                zone=horizon.zone,
            )
            self._peak = (key, found)
        return self._peak[1]
