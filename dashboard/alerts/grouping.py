"""Which messages are due: alerts in groups, each told once, again after a while, and when over (pure).

The times are those of Prometheus' Alertmanager: a new group waits a little for more of its kind
(``wait``), a group that has changed is told no more often than each ``interval``, and one that has
not, each ``repeat``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from config.alerts import Alerts, GroupBy
from dashboard.alerts.receiver import Receiver
from store.alert_records import Alert, ToldGroup

#: Alerts of one message; of more it has a count.
MOST_ALERTS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When groups are told, ms; see above."""

    by: tuple[GroupBy, ...]
    wait_ms: int
    interval_ms: int
    repeat_ms: int
    #: ends are told, too
    resolved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A message to be sent."""

    receiver: str
    group: str
    firing: tuple[Alert, ...]
    #: ids of alerts that were told as firing and are over
    ended: tuple[str, ...]
    #: firing alerts that did not fit
    more: int = 0


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be sent, and what receivers have been told once it is."""

    due: tuple[Due, ...]
    groups: tuple[ToldGroup, ...]


def pace_of(alerts: Alerts) -> Pace:
    """As the settings say."""
    return Pace(
        by=alerts.group_by,
        wait_ms=int(alerts.group_wait * 1000),
        interval_ms=int(alerts.group_interval * 1000),
        repeat_ms=int(alerts.repeat * 1000),
        resolved=alerts.resolved,
    )


def plan(
    before: Iterable[ToldGroup],
    firing: Sequence[Alert],
    receivers: Iterable[Receiver],
    pace: Pace,
    now_ms: int,
) -> Planned:
    """One look.

    Args:
        before: groups as the last look left them; those of others than the receivers are dropped.
        firing: all that fires, with why it is muted, if so.
        receivers: who is there to be told.
        pace: how often.
        now_ms: server time.
    """
    known = {(group.receiver, group.name): group for group in before}
    going = {alert.id for alert in firing}
    due: list[Due] = []
    groups: list[ToldGroup] = []
    for receiver in receivers:
        current: Mapping[str, list[Alert]] = _grouped(firing, receiver, pace.by)
        names = {name for to, name in known if to == receiver.name} | set(current)
        for name in sorted(names):
            old = known.get((receiver.name, name)) or ToldGroup(
                receiver=receiver.name, name=name, since_ms=now_ms, told_ms=0, told=frozenset()
            )
            message, new = _look(old, current.get(name, []), going, pace, now_ms)
            due += [message] if message is not None else []
            groups += [new] if new is not None else []
    return Planned(tuple(due), tuple(groups))


def _grouped(
    firing: Sequence[Alert], receiver: Receiver, by: tuple[GroupBy, ...]
) -> dict[str, list[Alert]]:
    found: dict[str, list[Alert]] = defaultdict(list)
    for alert in firing:
        if not alert.muted and receiver.wants(alert):
            found[group_name(alert, by)].append(alert)
    return found


def group_name(alert: Alert, by: tuple[GroupBy, ...]) -> str:
    """What it has in common with the others: ``rule=slow_node, user=ann``; "": all are one."""
    words = {
        GroupBy.RULE: alert.rule,
        GroupBy.SEVERITY: alert.severity,
        GroupBy.USER: alert.user_name,
        GroupBy.GROUP: alert.group_name,
        GroupBy.SUBJECT: alert.subject,
    }
    return ", ".join(f"{one.value}={words[one]}" for one in by)


def _look(
    old: ToldGroup, alerts: list[Alert], going: set[str], pace: Pace, now_ms: int
) -> tuple[Due | None, ToldGroup | None]:
    """A group's message, if one is due, and the group as it is then; None: it is over."""
    current = {alert.id for alert in alerts}
    ended = old.told - going
    if not pace.resolved:
        old, ended = replace(old, told=old.told - ended), frozenset()
    if not current and not ended:
        # what was told and is muted since is not over: its end will be told
        return None, old if old.told else None
    if not _is_due(old, current, ended, pace, now_ms):
        return None, old
    listed = sorted(alerts, key=lambda alert: (alert.since_ms, alert.id))
    message = Due(
        receiver=old.receiver,
        group=old.name,
        firing=tuple(listed[:MOST_ALERTS]),
        ended=tuple(sorted(ended)),
        more=max(0, len(listed) - MOST_ALERTS),
    )
    told = (old.told & going) | current
    return message, replace(old, told=told, told_ms=now_ms) if told else None


def _is_due(
    old: ToldGroup, current: set[str], ended: frozenset[str], pace: Pace, now_ms: int
) -> bool:
    if not old.told_ms:
        return now_ms - old.since_ms >= pace.wait_ms
    if current - old.told or ended:
        return now_ms - old.told_ms >= pace.interval_ms
    return now_ms - old.told_ms >= pace.repeat_ms
