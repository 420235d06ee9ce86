"""The rules that there are without a line of configuration, and what a file makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

from config.alerts import AlertRule, Alerts, RuleKind, Severity
from config.problems import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, with every figure that it goes by."""

    name: str
    kind: RuleKind
    severity: Severity = Severity.WARNING
    enabled: bool = True
    #: in the unit of its kind (``dashboard.alerts.kinds``)
    limit: float = 0.0
    #: None: a little before ``limit``
    clear: float | None = None
    #: see ``config.alerts.AlertRule``
    factor: float = 2.0
    #: seconds
    lasts: float = 0.0
    #: "": both
    lane: str = ""
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    def concerns(self, subject: str, user: str, group: str) -> bool:
        """Whether the rule is about this: about all of them, where it names none."""
        return all(
            any(fnmatchcase(word, pattern) for pattern in patterns)
            for word, patterns in (
                (subject, self.subjects),
                (user, self.users),
                (group, self.groups),
            )
            if patterns
        )


_INFO, _WARNING, _CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL
_MINUTE: Final = 60.0
_HOUR: Final = 3600.0

#: Why these numbers: docs/alerts.md.
DEFAULTS: Final = (
    Rule(name="slow_node", kind=RuleKind.NODE, limit=5.0, lasts=10 * _MINUTE),
    Rule(
        name="long_wait", kind=RuleKind.WAIT, limit=10 * _MINUTE, lane="interactive", lasts=10.0
    ),
    Rule(
        name="long_batch_wait",
        kind=RuleKind.WAIT,
        limit=6 * _HOUR,
        lane="batch",
        lasts=_MINUTE,
        severity=_INFO,
    ),
    Rule(name="low_headroom", kind=RuleKind.HEADROOM, limit=0.02, lasts=30.0),
    Rule(name="out_of_memory", kind=RuleKind.OOM, limit=1.0, lasts=15 * _MINUTE),
    Rule(
        name="estimate_under",
        kind=RuleKind.ESTIMATE,
        limit=0.1,
        lasts=15 * _MINUTE,
        severity=_INFO,
    ),
    Rule(name="worker_down", kind=RuleKind.WORKER, limit=1.0, lasts=2 * _MINUTE),
    Rule(
        name="agent_silent", kind=RuleKind.AGENT, limit=20.0, lasts=10.0, severity=_CRITICAL
    ),
    Rule(name="gpu_suspect", kind=RuleKind.GPU, limit=1.0, lasts=30.0, severity=_CRITICAL),
    Rule(name="budget_passed", kind=RuleKind.BUDGET_SOFT, limit=1.0, severity=_INFO),
    Rule(name="budget_used_up", kind=RuleKind.BUDGET, limit=1.0),
    Rule(
        name="hot_gpu", kind=RuleKind.TEMPERATURE, limit=88.0, clear=84.0, lasts=_MINUTE
    ),
    Rule(name="recorder_behind", kind=RuleKind.LAG, limit=_MINUTE, lasts=30.0),
    Rule(name="failing_jobs", kind=RuleKind.FAILURES, limit=0.25, factor=5.0, lasts=_MINUTE),
    Rule(
        name="growing_queue", kind=RuleKind.QUEUE, limit=20.0, lasts=5 * _MINUTE, severity=_INFO
    ),
    Rule(
        name="headroom_soon", kind=RuleKind.HEADROOM_SOON, limit=0.02, lasts=_MINUTE, severity=_INFO
    ),
    Rule(
        name="wait_soon",
        kind=RuleKind.WAIT_SOON,
        limit=10 * _MINUTE,
        lane="interactive",
        lasts=30.0,
        severity=_INFO,
    ),
)  # fmt: skip
BUILT_IN: Final[Mapping[str, Rule]] = {rule.name: rule for rule in DEFAULTS}
#: Of a new rule the figures that it does not name are those of the first one of its kind.
_OF_KIND: Final[Mapping[RuleKind, Rule]] = {rule.kind: rule for rule in reversed(DEFAULTS)}


def rules_of(alerts: Alerts) -> tuple[Rule, ...]:
    """All rules, enabled or not, in a steady order: those that are built in first."""
    found = dict(BUILT_IN)
    for change in alerts.rules:
        base = found.get(change.name)
        if base is None and change.kind is not None:
            base = replace(_OF_KIND[change.kind], name=change.name, clear=None)
        if base is not None:  # ``problems_of`` told of any other
            found[change.name] = _changed(base, change)
    return tuple(found.values())


def no_such_rule(pattern: str, alerts: Alerts) -> str | None:
    """What is wrong with a pattern for rules' names; None: it names at least one."""
    names = [rule.name for rule in rules_of(alerts)]
    if any(fnmatchcase(name, pattern) for name in names):
        return None
    return f"no rule is called {pattern}{did_you_mean(pattern, names)}"


def problems_of(alerts: Alerts) -> Iterator[tuple[int, str, str]]:
    """What is wrong with the file's rules: (its place, the key, what to do)."""
    seen: set[str] = set()
    for at, change in enumerate(alerts.rules):
        base = BUILT_IN.get(change.name)
        if change.name in seen:
            yield at, "name", f"{change.name} is there twice; leave one of them out"
        seen.add(change.name)
        if base is None and change.kind is None:
            yield at, "name", f"no rule is called {change.name}: a new one needs a `kind`"
        elif base is not None and change.kind not in (None, base.kind):
            yield at, "kind", f"{change.name} looks at `{base.kind.value}`; give yours another name"
    for at, change in enumerate(alerts.rules):
        if change.clear is None:
            continue
        rule = next((one for one in rules_of(alerts) if one.name == change.name), None)
        if rule is not None and not clears(rule):
            yield at, "clear", f"is on the same side of the limit ({rule.limit:g}) as what it ends"


def clears(rule: Rule) -> bool:
    """Whether the end of a rule is on the other side of its limit."""
    if rule.clear is None:
        return True
    return rule.clear >= rule.limit if is_below(rule.kind) else rule.clear <= rule.limit


def is_below(kind: RuleKind) -> bool:
    """Whether such a rule is true below its limit, not above."""
    return kind in (RuleKind.HEADROOM, RuleKind.HEADROOM_SOON)


def _changed(base: Rule, change: AlertRule) -> Rule:
    told = {
        name: value
        for name in ("enabled", "limit", "clear", "factor", "lasts", "severity", "lane")
        if (value := getattr(change, name)) is not None
    }
    if change.limit is not None and change.clear is None:
        told["clear"] = None  # the old one belongs to the old limit
    scopes: dict[str, Sequence[str]] = {
        name: value
        for name in ("users", "groups", "subjects")
        if (value := getattr(change, name)) is not None
    }
    if change.labels is not None:
        pairs = (label.split("=", 1) for label in change.labels)
        told["labels"] = tuple((name, value) for name, value in pairs)
    return replace(base, **told, **scopes)  # type: ignore[arg-type]
