"""Upper bounds that keep their promise: adaptive conformal inference (pure).

The bound lies at the quantile ``1 − alpha`` of what was seen, and ``alpha`` follows
the misses: ``alpha += gamma · (target − miss)``. Whatever the samples do, the share of
misses goes to the target in the long run (Gibbs and Candès 2021).

A *firm* bound (bytes) rises only by a miss or by running out of memory, and comes down
only by samples below it, so one more run within it never makes it larger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scheduler.histogram import Histogram

#: How fast alpha follows the misses; 0.01 held a target of 5 % at 5.2 % on 26,823
#: durations of a public trace (research 4.7).
_GAMMA: Final = 0.01
_LEAST_ALPHA: Final = 0.001
_MOST_ALPHA: Final = 0.2
#: From this weight on a kind stands for itself: eight samples, each a little faded.
ENOUGH: Final = 7.5
#: Out of memory raises a bound by at least one bucket of the histogram.
_OOM_STEP: Final = 1.05


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound on the next sample, and how much it may be missed just now."""

    #: 0: nothing was seen
    value: float = 0.0
    #: share of samples that may lie above; 0: its target, nothing was seen yet
    alpha: float = 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of bound is drawn."""

    #: share of samples that may lie above it in the long run
    target: float
    #: how far above the quantile it stands for good
    margin: float
    #: and how far on the first sample; shrinks with the number of samples ^ 1.5
    doubt: float
    firm: bool


#: Bytes: a miss costs a neighbour its memory. The same workflow's reserved peak was seen to grow
#: by up to 19 % from the first run to the second, and by up to 4 % after that.
BYTES: Final = Rule(target=0.01, margin=0.02, doubt=0.20, firm=True)
#: Seconds: a miss only moves a forecast. First runs in a process were up to 2 times slower.
SECONDS: Final = Rule(target=0.05, margin=0.0, doubt=0.50, firm=False)


def cautious(rule: Rule, seen: float, count: float, prior: float) -> float:
    """A bound from few samples: doubt ends where the prior is surer.

    Args:
        rule: of the quantity.
        seen: the quantile of what was seen.
        count: how many samples it rests on.
        prior: what would be believed without them.
    """
    doubt = rule.doubt / max(1.0, count) ** 1.5 if count < ENOUGH else rule.margin
    return max(seen * (1 + rule.margin), min(seen * (1 + doubt), prior))


def learn(rule: Rule, bound: Bound, history: Histogram, sample: float, prior: float) -> Bound:
    """The bound after one more sample.

    Args:
        rule: of the quantity.
        bound: as it stood when the sample came.
        history: with the sample in it.
        sample: the value.
        prior: what would be believed without any sample of this kind.
    """
    first = bound.value == 0
    missed = not first and sample > bound.value
    step = 0.0 if first else _GAMMA * (rule.target - missed)
    alpha = min(_MOST_ALPHA, max(_LEAST_ALPHA, (bound.alpha or rule.target) + step))
    wish = cautious(rule, history.quantile(1 - alpha), history.weight, prior)
    if rule.firm and not first:
        wish = max(bound.value, wish) if missed else min(bound.value, wish)
    return Bound(round(wish, 6), round(alpha, 6))


def raise_after_oom(rule: Rule, bound: Bound, needed: float) -> Bound:
    """The bound after running out of memory: strictly higher, and at least what was needed."""
    return Bound(round(max(bound.value * _OOM_STEP, needed), 6), bound.alpha or rule.target)
