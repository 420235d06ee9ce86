"""A decaying histogram of positive numbers: what was seen lately, in few bytes (pure).

After Kubernetes' vertical autoscaler: buckets grow by 5 %, and old samples fade.
Each bucket keeps the largest value that fell into it, so a quantile is always a
value that was seen and never more than 5 % above the exact one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

#: index, weight, largest value seen in it; a tuple because thousands are stored as JSON
Bucket: TypeAlias = tuple[int, float, float]

_GROWTH: Final = 1.05
#: A sample counts half after so many later ones, or after so long, whichever comes first.
HALF_SAMPLES: Final = 200
HALF_LIFE_MS: Final = 7 * 24 * 3600 * 1000
#: Buckets that are kept: 5 % each, they span a factor of 1.9 without a gap.
_MOST_BUCKETS: Final = 14
#: A bucket that weighs less is forgotten.
_LEAST_WEIGHT: Final = 0.01
#: Values are kept to four digits, rounded up so that none falls below what was seen.
_DIGITS: Final = 4
_SMALLEST: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Histogram:
    """Weights by bucket, lowest values first. A sample weighs 1 when it comes."""

    buckets: tuple[Bucket, ...] = ()
    #: when the newest sample came; its weight was 1 then
    at_ms: int = 0

    @property
    def weight(self) -> float:
        """How many samples it stands for; old ones count less than 1."""
        return sum(weight for _, weight, _ in self.buckets)

    def quantile(self, share: float) -> float:
        """The value that at least this share of the weight does not exceed; 0 when empty."""
        left = share * self.weight
        for _, weight, top in self.buckets:
            left -= weight
            if left <= 1e-9:
                return top
        return self.buckets[-1][2] if self.buckets else 0.0


def add(histogram: Histogram, value: float, now_ms: int) -> Histogram:
    """The histogram with one more sample.

    Args:
        histogram: what was seen before.
        value: the sample; taken as 10⁻⁶ where it is smaller.
        now_ms: its time; one that lies before the last sample's makes nothing fade by age.
    """
    kept = _faded(histogram, now_ms)
    top = _round_up(max(value, _SMALLEST))
    index = math.floor(math.log(top) / math.log(_GROWTH))
    _, weight, seen = kept.get(index, (index, 0.0, 0.0))
    kept[index] = (index, _rounded(weight + 1), max(seen, top))
    buckets = [kept[key] for key in sorted(kept)]
    return Histogram(tuple(_merged(buckets)), max(now_ms, histogram.at_ms))


def _faded(histogram: Histogram, now_ms: int) -> dict[int, Bucket]:
    age = max(0, now_ms - histogram.at_ms) if histogram.at_ms else 0
    keep = 0.5 ** max(1 / HALF_SAMPLES, age / HALF_LIFE_MS)
    faded = ((index, _rounded(weight * keep), top) for index, weight, top in histogram.buckets)
    return {bucket[0]: bucket for bucket in faded if bucket[1] >= _LEAST_WEIGHT}


def _merged(buckets: list[Bucket]) -> list[Bucket]:
    """At most so many buckets: the lightest counts as the next higher one."""
    while len(buckets) > _MOST_BUCKETS:
        at = min(range(len(buckets) - 1), key=lambda n: buckets[n][1])
        index, weight, top = buckets[at + 1]
        buckets[at : at + 2] = [(index, _rounded(weight + buckets[at][1]), top)]
    return buckets


def _rounded(weight: float) -> float:
    """Four digits: with fixed decimals a small weight would stop fading."""
    return float(f"{weight:.4g}")


def _round_up(value: float) -> float:
    scale: float = 10.0 ** (_DIGITS - 1 - math.floor(math.log10(value)))
    rounded = round(value, 12)
    return math.ceil(rounded * scale - 1e-9) / scale
