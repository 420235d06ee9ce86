"""Alerts that nobody is told of: silenced by somebody, or only the consequence of another (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final

from config.alerts import RuleKind
from store.alert_records import Alert, Silence

_K = RuleKind
#: Of an alert of the first kind, those of the others are consequences where they have the same …
_BEHIND: Final[Sequence[tuple[RuleKind, frozenset[RuleKind], str]]] = (
    (
        _K.AGENT,
        frozenset({_K.WORKER, _K.GPU, _K.HEADROOM, _K.HEADROOM_SOON, _K.TEMPERATURE}),
        "agent",
    ),
    (_K.BUDGET, frozenset({_K.BUDGET_SOFT}), "subject"),
    (_K.BUDGET, frozenset({_K.WAIT, _K.WAIT_SOON}), "user"),
    (_K.WAIT, frozenset({_K.WAIT_SOON}), "user"),
    (_K.HEADROOM, frozenset({_K.HEADROOM_SOON}), "subject"),
    (_K.OOM, frozenset({_K.ESTIMATE}), "user"),
)


def muted(
    alerts: Iterable[Alert],
    silences: Sequence[Silence],
    kinds: Mapping[str, RuleKind],
    now_ms: int,
) -> list[Alert]:
    """The alerts, each with why nobody is told of it, if so.

    Args:
        alerts: all that fire.
        silences: whether or not they are in force.
        kinds: of each rule.
        now_ms: server time.
    """
    firing = list(alerts)
    causes = {
        (kinds[alert.rule], relation, _same(alert, relation)): alert.rule
        for alert in firing
        if alert.rule in kinds
        for kind, _, relation in _BEHIND
        if kind is kinds[alert.rule]
    }
    return [
        replace(alert, muted=_silenced(alert, silences, now_ms) or _behind(alert, causes, kinds))
        for alert in firing
    ]


def is_in_force(silence: Silence, now_ms: int) -> bool:
    """Whether it silences now."""
    return silence.from_ms <= now_ms < silence.until_ms


def silences_it(silence: Silence, alert: Alert) -> bool:
    """Whether its patterns match."""
    return fnmatchcase(alert.rule, silence.rule) and fnmatchcase(alert.subject, silence.subject)


def _silenced(alert: Alert, silences: Sequence[Silence], now_ms: int) -> str:
    matching = (one for one in silences if is_in_force(one, now_ms) and silences_it(one, alert))
    last = max(matching, key=lambda one: (one.until_ms, one.id), default=None)
    return f"silence:{last.id}" if last is not None else ""


def _behind(
    alert: Alert, causes: Mapping[tuple[RuleKind, str, str], str], kinds: Mapping[str, RuleKind]
) -> str:
    own = kinds.get(alert.rule)
    for cause, consequences, relation in _BEHIND:
        same = _same(alert, relation)
        rule = causes.get((cause, relation, same))
        if own in consequences and same and rule is not None:
            return f"behind:{rule}"
    return ""


def _same(alert: Alert, relation: str) -> str:
    match relation:
        case "agent":
            return str(alert.detail.get("agent", ""))
        case "user":
            return alert.user_name
        case _:
            return alert.subject
