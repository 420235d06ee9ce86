"""Each rule as a page shows it: its figure against its limit (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from config.alert_rules import Rule
from dashboard.alerts.kinds import worse
from dashboard.alerts.machine import Looked, Stepped
from dashboard.alerts.reading import Reading
from store.alert_records import RuleSight


def sights(
    rules: Sequence[Rule], looked: Sequence[Looked], done: Stepped, now_ms: int
) -> list[RuleSight]:
    """Each rule with the figure that is nearest to its limit, or farthest over it."""
    seen = {one.rule.name: one.readings for one in looked}
    return [_sight(rule, seen.get(rule.name, ()), done, now_ms) for rule in rules]


def _sight(rule: Rule, readings: Sequence[Reading], done: Stepped, now_ms: int) -> RuleSight:
    known = [
        (reading.value, rule.limit if reading.limit is None else reading.limit, reading.subject)
        for reading in readings
        if reading.value is not None
    ]
    nearest: tuple[float, float, str] | None = None
    for one in known:
        if nearest is None or _is_nearer(rule, one, nearest):
            nearest = one
    firing = [state.is_firing for state in done.states.values() if state.rule == rule.name]
    return RuleSight(
        rule=rule.name,
        at_ms=now_ms,
        value=None if nearest is None else nearest[0],
        subject="" if nearest is None else nearest[2],
        threshold=rule.limit if nearest is None else nearest[1],
        seen=len(known),
        pending=firing.count(False),
        firing=firing.count(True),
        enabled=rule.enabled,
        severity=rule.severity.value,
    )


def _is_nearer(rule: Rule, one: tuple[float, float, str], other: tuple[float, float, str]) -> bool:
    ratio, others = one[0] / (one[1] or 1.0), other[0] / (other[1] or 1.0)
    return ratio != others and worse(rule, ratio, others) == ratio
