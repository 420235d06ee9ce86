"""Figures in words for people, in the units of rules."""

from __future__ import annotations

import math

from config.alert_rules import Rule, is_below
from dashboard.alerts.kinds import KINDS


def spell(seconds: float) -> str:
    """``90`` → ``1.5 min``."""
    if not math.isfinite(seconds):
        return "very long"
    if seconds < 90:
        return f"{seconds:.3g} s"
    if seconds < 5400:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h"


def figure(value: float, unit: str) -> str:
    """A figure with its unit; ``unit`` as in ``dashboard.alerts.kinds``."""
    match unit:
        case "seconds":
            return spell(value)
        case "share":
            return f"{value:.1%}"
        case "celsius":
            return f"{value:.0f} °C"
        case "jobs":
            return f"{value:.0f} jobs"
        case _:
            return "yes" if value else "no"


def rule_words(rule: Rule) -> str:
    """A rule in a line: ``hot_gpu  warning  over 88 °C for 1 min: a GPU's temperature``."""
    kind = KINDS[rule.kind]
    side = "under" if is_below(rule.kind) else "over"
    parts = [figure(rule.limit, kind.unit)] if kind.unit else []
    words = f"{side} {parts[0]} " if parts else ""
    how = "shown for" if kind.happens else "for"
    scope = [*(f"user {one}" for one in rule.users), *(f"group {one}" for one in rule.groups)]
    scope += [*rule.subjects, *([f"lane {rule.lane}"] if rule.lane else [])]
    state = rule.severity.value if rule.enabled else "off"
    about = f"{kind.about}{' (' + ', '.join(scope) + ')' if scope else ''}"
    return f"{rule.name:18} {state:8}  {words}{how} {spell(rule.lasts)}: {about}"
