"""Forecasts corrected by what happened to earlier ones (pure).

The pool run forward knows nothing of those who have yet to send something, of jobs
that fail or of GPUs that slow each other down. So what is told is the forecast times a
factor, and the factor is a quantile of the ratios *actual wait ÷ forecast* of the last
jobs. For the p90 a second factor follows the misses of what was told:
``ln factor += gain · (miss − 0.1)``. Whatever the pool does, the share of misses goes to
10 % in the long run (quantile tracking, a form of adaptive conformal inference:
Angelopoulos, Candès and Tibshirani 2023).

A job that is late counts as a miss when its p90 passes, not when it starts at last: in a
queue that grows only the lucky ones start, and would tell that all is well.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from scheduler.forecast import Forecast
from scheduler.ledger_values import Trust

#: Jobs whose ratios count.
_WINDOW: Final = 200
#: As many jobs that went as foretold are believed before the first is seen.
_PRIOR: Final = 8
_NOTHING: Final = Trust()
#: Share of jobs that may start later than their p90.
TARGET: Final = 0.1
#: How fast the second factor follows: a miss adds 4.6 %, a hit takes 0.5 %.
_GAIN: Final = 0.05
#: It corrects a ratio that is right in the main, so it stays within a factor of 5.
_MOST: Final = math.log(5)
#: Added to both sides of a ratio: whether a job waits 10 or 50 ms tells nothing of forecasts.
_BASE_MS: Final = 1_000


class Calibration:
    """What forecasts were worth lately."""

    def __init__(self, before: Trust = _NOTHING) -> None:
        """``before``: what an earlier leader had learned."""
        self._p50 = deque([before.p50_factor] * _PRIOR, maxlen=_WINDOW)
        self._p90 = deque([before.p90_factor] * _PRIOR, maxlen=_WINDOW)
        self._hits: deque[bool] = deque(maxlen=_WINDOW)
        self._ln = 0.0
        self._trust = before

    @property
    def trust(self) -> Trust:
        """The factors now, and how the last forecasts did."""
        return self._trust

    def overdue(self) -> None:
        """A job still waits at its p90. Once for each; ``observe`` it ``counted`` at its start."""
        self._count(hit=False)

    def observe(
        self,
        raw: Forecast,
        told: Forecast,
        made_ms: int,
        started_ms: int,
        *,
        counted: bool = False,
    ) -> None:
        """Learn from a job that has started.

        Args:
            raw: what the run forward said of it.
            told: what was told, after correction.
            made_ms: server time of the forecast.
            started_ms: server time of its start.
            counted: its miss was counted when it was ``overdue``.
        """
        waited = _BASE_MS + max(0, started_ms - made_ms)
        self._p50.append(waited / (_BASE_MS + max(0, raw.p50_ms - made_ms)))
        self._p90.append(waited / (_BASE_MS + max(0, raw.p90_ms - made_ms)))
        if counted:
            self._tell()
        else:
            self._count(hit=started_ms <= told.p90_ms)

    def _count(self, *, hit: bool) -> None:
        self._hits.append(hit)
        self._ln = min(_MOST, max(-_MOST, self._ln + _GAIN * ((not hit) - TARGET)))
        self._tell()

    def _tell(self) -> None:
        self._trust = Trust(
            p50_factor=_quantile(self._p50, 0.5),
            p90_factor=_quantile(self._p90, 1 - TARGET) * math.exp(self._ln),
            coverage=sum(self._hits) / len(self._hits),
            scored=len(self._hits),
        )


def corrected(raw: Forecast, trust: Trust, now_ms: int) -> Forecast:
    """A forecast as it should be told.

    Args:
        raw: what the run forward says.
        trust: what such forecasts were worth lately.
        now_ms: server time at which it was made.
    """
    p50 = _scaled(raw.p50_ms, trust.p50_factor, now_ms)
    p90 = _scaled(raw.p90_ms, trust.p90_factor, now_ms)
    return Forecast(min(p50, p90), p90, raw.worker)


def _scaled(at_ms: int, factor: float, now_ms: int) -> int:
    wait = factor * (_BASE_MS + max(0, at_ms - now_ms)) - _BASE_MS
    return now_ms + max(0, round(wait))


def _quantile(values: deque[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]
