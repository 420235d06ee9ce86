"""How likely counts are by chance, and how many of many findings may be chance (pure).

Sources: exact binomial test (Clopper and Pearson 1934); Wilson's interval (1927); Benjamini and
Hochberg's procedure (J. R. Stat. Soc. B 57, 1995), which keeps the expected share of false ones
among all that are told at the level asked for, for independent and positively dependent tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def at_least(count: int, of: int, share: float) -> float:
    """P-value of "no more than ``share`` of these": the chance of so many, or more, of so many."""
    if count <= 0:
        return 1.0
    logs = (math.log(share), math.log1p(-share))
    total = math.lgamma(of + 1)
    terms = (
        total - math.lgamma(n + 1) - math.lgamma(of - n + 1) + n * logs[0] + (of - n) * logs[1]
        for n in range(count, of + 1)
    )
    return min(1.0, math.fsum(math.exp(term) for term in terms))


def share_interval(count: int, of: int, z: float = 1.645) -> tuple[float, float]:
    """Between which shares the true one lies, Wilson's way. ``z`` 1.645: in 90 % of cases."""
    if not of:
        return 0.0, 1.0
    share, square = count / of, z * z
    middle = (share + square / (2 * of)) / (1 + square / of)
    width = z * math.sqrt(share * (1 - share) / of + square / (4 * of * of)) / (1 + square / of)
    return max(0.0, middle - width), min(1.0, middle + width)


def told(p_values: Sequence[float], level: float) -> list[bool]:
    """Which of these are told, so that at most a share of ``level`` of those is false."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    last = 0
    for rank, place in enumerate(order, 1):
        if p_values[place] <= level * rank / len(order):
            last = rank
    chosen = set(order[:last])
    return [place in chosen for place in range(len(p_values))]
