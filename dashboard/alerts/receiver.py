"""Who is told, and of what (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from config.alerts import WEIGHT, Alerts, Severity
from config.alerts import Receiver as Told
from store.alert_records import Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A webhook, or people with e-mail."""

    name: str
    least: Severity
    rules: tuple[str, ...]
    groups: tuple[str, ...]

    def wants(self, alert: Alert) -> bool:
        """Whether it is to be told of such an alert, muted or not."""
        if WEIGHT[Severity(alert.severity)] < WEIGHT[self.least]:
            return False
        return all(
            not patterns or any(fnmatchcase(word, pattern) for pattern in patterns)
            for word, patterns in ((alert.rule, self.rules), (alert.group_name, self.groups))
        )


def receivers(alerts: Alerts) -> Iterator[Receiver]:
    """All of them."""
    told: tuple[Told, ...] = (*alerts.webhooks, *alerts.mails)
    for one in told:
        yield Receiver(name=one.name, least=one.least, rules=one.rules, groups=one.groups)
