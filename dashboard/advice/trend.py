"""Whether values rise with time, and how fast, however they jump about.

Sources: Mann (1945) and Kendall's test, counted out exactly; Theil (1950) and Sen's slope with
Sen's interval (J. Am. Stat. Assoc. 63, 1968).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from typing import Final

from dashboard.advice.ranks import Shift, median

_Z90: Final = 1.645


def p_rising(values: Sequence[float]) -> float:
    """P-value of "these do not rise". Equal values count as if they spoke against it."""
    rises = sum(one < other for one, other in combinations(values, 2))
    ways = _ways(len(values))
    return sum(ways[rises:]) / sum(ways)


def slope(times: Sequence[float], values: Sequence[float]) -> Shift:
    """The middle of all pairs' slopes, with bounds for 90 % of cases; two times at least."""
    pairs = list(zip(times, values, strict=True))
    slopes = sorted((b - a) / (t - s) for (s, a), (t, b) in combinations(pairs, 2) if t != s)
    n = len(pairs)
    spread = _Z90 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    place = min(len(slopes) - 1, max(0, math.floor((len(slopes) - spread) / 2)))
    return Shift(median(slopes), slopes[place], slopes[len(slopes) - 1 - place])


@lru_cache(maxsize=128)
def _ways(n: int) -> tuple[int, ...]:
    """In how many orders of n values 0, 1, … pairs rise (Mahonian numbers)."""
    counts = [1]
    for size in range(2, n + 1):
        longer = [0] * (len(counts) + size - 1)
        for at, ways in enumerate(counts):
            for more in range(size):
                longer[at + more] += ways
        counts = longer
    return tuple(counts)
