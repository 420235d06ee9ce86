"""Whether one sample lies above another, and by how much: by ranks, so that no single run decides.

Sources: Mann and Whitney's U (1947), exact where samples are small, else its normal limit with
the correction for ties (Lehmann, *Nonparametrics*, 1.5); Hodges and Lehmann's shift (1963) with
the interval of Hollander, Wolfe and Chicken, *Nonparametric Statistical Methods*, 4.3.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

#: Samples up to this many values together are counted out.
_EXACT: Final = 40
#: Values of a sample that are compared pair by pair: more say no more.
_MOST: Final = 200
_Z90: Final = 1.645


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one sample lies from another, and between which bounds in 90 % of cases."""

    by: float
    low: float
    high: float


def p_above(sample: Sequence[float], others: Sequence[float]) -> float:
    """P-value of "``sample`` lies no higher than ``others``".

    In small samples ties count as if they spoke against it, so that the p-value is never too low.
    """
    if not sample or not others:
        return 1.0
    ordered = sorted(others)
    below = sum(bisect_left(ordered, value) for value in sample)
    if len(sample) + len(others) <= _EXACT:
        return _exact(below, len(sample), len(others))
    equal = sum(bisect_right(ordered, v) - bisect_left(ordered, v) for v in sample)
    return _normal(below + equal / 2, sample, others)


def shift(sample: Sequence[float], others: Sequence[float]) -> Shift:
    """How much ``sample`` lies above ``others``; both must have values."""
    first, second = thin(sample), thin(others)
    n, m = len(first), len(second)
    pairs = sorted(one - other for one in first for other in second)
    spread = _Z90 * math.sqrt(n * m * (n + m + 1) / 12)
    place = min(len(pairs) - 1, max(0, math.floor(n * m / 2 - spread) - 1))
    return Shift(median(pairs), pairs[place], pairs[len(pairs) - 1 - place])


def ratio(sample: Sequence[float], others: Sequence[float]) -> Shift:
    """How many times ``others`` the ``sample`` is; values must be above 0."""
    found = shift([math.log(v) for v in sample], [math.log(v) for v in others])
    return Shift(math.exp(found.by), math.exp(found.low), math.exp(found.high))


def median(ordered: Sequence[float]) -> float:
    """The middle of sorted values, the mean of two middles."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def thin(values: Sequence[float], most: int = _MOST) -> list[float]:
    """At most so many of these, evenly taken from the sorted ones."""
    ordered = sorted(values)
    if len(ordered) <= most:
        return ordered
    return [ordered[place * (len(ordered) - 1) // (most - 1)] for place in range(most)]


def _exact(below: int, n: int, m: int) -> float:
    ways = _ways(n, m)
    return sum(ways[below:]) / sum(ways)


@lru_cache(maxsize=512)
def _ways(n: int, m: int) -> tuple[int, ...]:
    """In how many orders U is 0, 1, …: coefficients of Gauss's binomial."""
    counts = [1] + [0] * (n * m)
    for size in range(1, n + 1):
        for at in range(n * m, m + size - 1, -1):
            counts[at] -= counts[at - m - size]
        for at in range(size, n * m + 1):
            counts[at] += counts[at - size]
    return tuple(counts)


def _normal(u: float, sample: Sequence[float], others: Sequence[float]) -> float:
    n, m = len(sample), len(others)
    total = n + m
    ties = sum(count**3 - count for count in Counter([*sample, *others]).values())
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    # half a step towards the middle: U is a whole number
    return 0.5 * math.erfc((u - n * m / 2 - 0.5) / math.sqrt(2 * variance))
