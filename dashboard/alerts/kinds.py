"""What there is to look at, and in which unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from config.alert_rules import Rule, is_below
from config.alerts import RuleKind


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of rule."""

    #: seconds, share, celsius, jobs; "": true (1) or not (0)
    unit: str
    #: what the figure is
    about: str
    #: something that happens and is over: it is shown for the rule's ``lasts``
    happens: bool = False
    #: one figure over many users' jobs: the rule picks the jobs by its users and groups
    summed: bool = False


KINDS: Final[Mapping[RuleKind, Kind]] = {
    RuleKind.NODE: Kind("seconds", "a node took so long, and longer than usual", happens=True),
    RuleKind.WAIT: Kind("seconds", "a user's jobs wait and none has started for so long"),
    RuleKind.HEADROOM: Kind("share", "measured free memory of a GPU"),
    RuleKind.OOM: Kind("jobs", "jobs of a user that ran out of memory", happens=True),
    RuleKind.ESTIMATE: Kind("share", "a job took so much more memory than foreseen", happens=True),
    RuleKind.WORKER: Kind("", "a worker is down, or fails one job after the other"),
    RuleKind.AGENT: Kind("seconds", "an agent has said nothing for so long"),
    RuleKind.GPU: Kind("", "a GPU's figures cannot be believed"),
    RuleKind.BUDGET_SOFT: Kind("share", "used of the budget after which others go first"),
    RuleKind.BUDGET: Kind("share", "used of the budget after which nothing starts"),
    RuleKind.TEMPERATURE: Kind("celsius", "a GPU's temperature"),
    RuleKind.LAG: Kind("seconds", "what happened is not in the store for so long", summed=True),
    RuleKind.FAILURES: Kind("share", "ended jobs of 15 minutes that failed", summed=True),
    RuleKind.QUEUE: Kind("jobs", "jobs that wait, where they become more", summed=True),
    RuleKind.HEADROOM_SOON: Kind("share", "free memory of a GPU as foreseen"),
    RuleKind.WAIT_SOON: Kind("seconds", "a user's wait as foreseen"),
}
#: An end is so far from its limit where the rule names none: figures that tremble end nothing.
_ABOVE: Final = 0.95
_BELOW: Final = 1.25


def is_over(rule: Rule, value: float, limit: float) -> bool:
    """Whether this figure is what the rule is about."""
    return value < limit if is_below(rule.kind) else value >= limit


def is_clear(rule: Rule, value: float, limit: float) -> bool:
    """Whether it is over: not the same as being no longer over the limit."""
    if is_below(rule.kind):
        return value >= (rule.clear if rule.clear is not None else limit * _BELOW)
    return value < (rule.clear if rule.clear is not None else limit * _ABOVE)


def worse(rule: Rule, one: float, other: float) -> float:
    """The one that is farther over the limit."""
    return min(one, other) if is_below(rule.kind) else max(one, other)
