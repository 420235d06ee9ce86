"""How sure a sum over runs is: the percentile bootstrap (Efron 1979)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from dashboard.advice.ranks import thin

_TIMES: Final = 400
#: Values that are drawn from: more say no more.
_MOST: Final = 300


def sum_interval(values: Sequence[float], randomness: Random) -> tuple[float, float]:
    """Between which bounds the sum lies in 90 % of cases, had other runs come along."""
    if not values:
        return 0.0, 0.0
    drawn_from = thin(values, _MOST)
    scale = len(values) / len(drawn_from)
    sums = sorted(
        scale * sum(randomness.choices(drawn_from, k=len(drawn_from))) for _ in range(_TIMES)
    )
    return sums[_TIMES // 20], sums[-1 - _TIMES // 20]
