"""Whether something grows, and how fast: quiet where it only moves up and down (pure).

Slope: Theil-Sen, the median over all pairs of points (Sen 1968), which a few wild points do not
bend. Whether it grows at all: Kendall's tau (1938), the share of pairs that agree in direction
less those that do not. A square wave, or a step with flat sides, has pairs that are equal and a
tau far below 1.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

#: Fewer points say nothing.
LEAST_POINTS: Final = 12
#: Of a steady growth with noise tau is near 1; of anything that comes and goes, near 0.
LEAST_TAU: Final = 0.7
#: Points that are looked at, at most: the pairs are their square.
_MOST_POINTS: Final = 60


@dataclass(frozen=True, slots=True)
class Trend:
    """How something moves."""

    #: per millisecond
    slope: float
    #: −1 … 1
    tau: float
    #: what it is now, without the noise
    now: float

    @property
    def grows(self) -> bool:
        """Steadily, not by chance."""
        return self.slope > 0 and self.tau >= LEAST_TAU

    def after(self, span_ms: float) -> float:
        """What it will be if that goes on."""
        return self.now + self.slope * span_ms


def trend(points: Sequence[tuple[int, float]]) -> Trend | None:
    """The trend of (ms, value), oldest first; None: too few, or no time between them."""
    some = _thinned(points)
    if len(some) < LEAST_POINTS:
        return None
    slopes, agreement = [], 0
    for (at, value), (later, other) in combinations(some, 2):
        if later > at:
            slopes.append((other - value) / (later - at))
            agreement += (other > value) - (other < value)
    if not slopes:
        return None
    slope = statistics.median(slopes)
    last_ms = some[-1][0]
    now = statistics.median(value + slope * (last_ms - at) for at, value in some)
    return Trend(slope=slope, tau=agreement / len(slopes), now=now)


def _thinned(points: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """At most so many, evenly, the last one among them."""
    every = -(-len(points) // _MOST_POINTS)
    return points[::-1][:: max(1, every)][::-1]
