"""A rule file for Prometheus from the same rules, for those whose Alertmanager tells people already.

What `/metrics` has a figure for is a rule over that figure, so that Prometheus needs nobody here to
look. What it has none for (a node against what is usual, a forecast) takes what the recorder found:
``vramgate_alerts_firing``. Both kinds stop when vramgate does; the last rule says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import yaml

from config.alert_rules import Rule
from config.alerts import RuleKind
from config.settings import Settings
from dashboard.alerts.dead_man import longest_ms
from dashboard.alerts.kinds import KINDS

#: Gauges of what fires, by rule and severity, and of the last look, seconds since the epoch.
FIRING: Final = "vramgate_alerts_firing"
LOOKED: Final = "vramgate_alerts_evaluated_timestamp_seconds"


def rule_file(rules: Iterable[Rule], settings: Settings) -> str:
    """YAML with every enabled rule."""
    listed = [_rule(rule) for rule in rules if rule.enabled]
    listed.append(_unwatched(settings))
    groups = [{"name": "vramgate", "interval": _span(settings.alerts.every), "rules": listed}]
    head = "# Written by `vramgate alerts rules --prometheus`; change the config file instead.\n"
    return head + yaml.safe_dump({"groups": groups}, sort_keys=False, allow_unicode=True, width=100)


def _rule(rule: Rule) -> dict[str, Any]:
    made = _EXPRESSIONS.get(rule.kind)
    # scopes are patterns of users and groups, which no metric has as labels
    direct = made is not None and not (rule.users or rule.groups or rule.subjects or rule.lane)
    expression = made(rule) if made is not None and direct else _found(rule)
    lasts = rule.lasts if direct and not KINDS[rule.kind].happens else 0.0
    return {
        "alert": f"vramgate_{rule.name}".replace("-", "_").replace(".", "_").replace("@", "_"),
        "expr": expression,
        **({"for": _span(lasts)} if lasts else {}),
        "labels": {"severity": rule.severity.value, "rule": rule.name, **dict(rule.labels)},
        "annotations": {"summary": f"{rule.name}: {KINDS[rule.kind].about}"},
    }


def _found(rule: Rule) -> str:
    return f'max without (instance, job) ({FIRING}{{rule="{rule.name}"}}) > 0'


def _unwatched(settings: Settings) -> dict[str, Any]:
    seconds = longest_ms(settings.alerts.every) // 1000
    return {
        "alert": "vramgate_unwatched",
        "expr": f"time() - max({LOOKED}) > {seconds} or absent({LOOKED})",
        "for": "1m",
        "labels": {"severity": "critical", "rule": "unwatched"},
        "annotations": {"summary": "nobody looks at vramgate's rules: is its recorder up?"},
    }


def _span(seconds: float) -> str:
    return f"{int(seconds)}s" if seconds == int(seconds) else f"{int(seconds * 1000)}ms"


def _over(metric: str) -> Callable[[Rule], str]:
    return lambda rule: f"max without (instance, job) ({metric}) >= {rule.limit:g}"


def _gone(metric: str) -> Callable[[Rule], str]:
    return lambda rule: f"max without (instance, job) ({metric}) == 0"


_EXPRESSIONS: Final[Mapping[RuleKind, Callable[[Rule], str]]] = {
    RuleKind.TEMPERATURE: _over("vramgate_gpu_temperature_celsius"),
    RuleKind.AGENT: _gone("vramgate_agent_up"),
    RuleKind.GPU: _gone("vramgate_gpu_up"),
    RuleKind.LAG: _over("vramgate_recorder_lag_seconds"),
}
