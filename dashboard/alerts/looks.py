"""All rules over a scene (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from config.alert_rules import Rule
from config.alerts import RuleKind
from dashboard.alerts import ahead_looks, fleet_looks, job_looks, queue_looks
from dashboard.alerts.kinds import KINDS
from dashboard.alerts.machine import Looked
from dashboard.alerts.reading import Reading
from dashboard.alerts.scene import Scene

Look = Callable[[Rule, Scene], Iterable[Reading]]

LOOKS: Final[Mapping[RuleKind, Look]] = {
    RuleKind.NODE: job_looks.node,
    RuleKind.WAIT: queue_looks.wait,
    RuleKind.HEADROOM: fleet_looks.headroom,
    RuleKind.OOM: job_looks.oom,
    RuleKind.ESTIMATE: job_looks.estimate,
    RuleKind.WORKER: fleet_looks.worker,
    RuleKind.AGENT: fleet_looks.agent,
    RuleKind.GPU: fleet_looks.suspect,
    RuleKind.BUDGET_SOFT: queue_looks.budget,
    RuleKind.BUDGET: queue_looks.budget,
    RuleKind.TEMPERATURE: fleet_looks.temperature,
    RuleKind.LAG: queue_looks.lag,
    RuleKind.FAILURES: queue_looks.failures,
    RuleKind.QUEUE: queue_looks.queue,
    RuleKind.HEADROOM_SOON: ahead_looks.headroom_soon,
    RuleKind.WAIT_SOON: ahead_looks.wait_soon,
}


def look(rules: Sequence[Rule], scene: Scene) -> list[Looked]:
    """What each enabled rule sees, within its scope."""
    return [
        Looked(rule, [one for one in LOOKS[rule.kind](rule, scene) if _is_meant(rule, one)])
        for rule in rules
        if rule.enabled
    ]


def _is_meant(rule: Rule, reading: Reading) -> bool:
    if KINDS[rule.kind].summed and (rule.users or rule.groups):
        return True  # it has picked its users itself
    return rule.concerns(reading.subject, reading.user, reading.group)
