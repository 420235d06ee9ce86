"""Alerts and rules as rows of the API: pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from config.alert_rules import Rule, is_below
from config.settings import Settings
from dashboard.alerts.kinds import KINDS
from dashboard.api import alert_shapes as shapes
from store.alert_records import Alert, AlertState, Message, RuleSight, Silence

_PLACES: Final = tuple(shapes.AlertPlace.__annotations__)


def alert_row(alert: Alert, rules: Mapping[str, Rule]) -> shapes.AlertRow:
    """One alert; its rule may be gone from the file."""
    rule = rules.get(alert.rule)
    detail = alert.detail
    where = {name: detail[name] for name in _PLACES if detail.get(name)}
    return {
        "id": alert.id,
        "rule": alert.rule,
        "kind": rule.kind.value if rule is not None else "",
        "severity": alert.severity,
        "subject": alert.subject,
        "user": alert.user_name,
        "group": alert.group_name,
        "text": str(detail.get("text", "")),
        "unit": KINDS[rule.kind].unit if rule is not None else "",
        "below": rule is not None and is_below(rule.kind),
        "value": alert.value,
        "worst": alert.worst,
        "limit": alert.threshold,
        "began_ms": alert.began_ms,
        "since_ms": alert.since_ms,
        "ended_ms": alert.ended_ms,
        "muted": alert.muted,
        "labels": dict(detail.get("labels", {})),
        "where": where,  # type: ignore[typeddict-item]
    }


def pending_row(state: AlertState, rule: Rule) -> shapes.PendingRow:
    """What is true and when it will fire."""
    return {
        "rule": state.rule,
        "subject": state.subject,
        "user": state.user_name,
        "value": state.value,
        "since_ms": state.since_ms,
        "fires_ms": state.since_ms + int(rule.lasts * 1000),
    }


def rule_row(rule: Rule, sight: RuleSight | None) -> shapes.RuleRow:
    """A rule; ``sight`` None: nobody has looked, or it is not the asker's to see."""
    kind = KINDS[rule.kind]
    scope = [f"user {one}" for one in rule.users]
    scope += [f"group {one}" for one in rule.groups]
    scope += [*rule.subjects]
    return {
        "name": rule.name,
        "kind": rule.kind.value,
        "about": kind.about,
        "severity": rule.severity.value,
        "enabled": rule.enabled,
        "unit": kind.unit,
        "below": is_below(rule.kind),
        "limit": rule.limit,
        "clear": rule.clear,
        "lasts_seconds": rule.lasts,
        "happens": kind.happens,
        "scope": [*scope, *([f"lane {rule.lane}"] if rule.lane else [])],
        "labels": dict(rule.labels),
        "value": None if sight is None else sight.value,
        "value_limit": None if sight is None else sight.threshold,
        "subject": "" if sight is None else sight.subject,
        "looked_ms": None if sight is None else sight.at_ms,
        "seen": 0 if sight is None else sight.seen,
        "pending": 0 if sight is None else sight.pending,
        "firing": 0 if sight is None else sight.firing,
    }


def silence_row(silence: Silence) -> shapes.SilenceRow:
    """One silence."""
    return {
        "id": silence.id,
        "rule": silence.rule,
        "subject": silence.subject,
        "from_ms": silence.from_ms,
        "until_ms": silence.until_ms,
        "by_user": silence.by_user,
        "why": silence.why,
    }


def message_row(message: Message) -> shapes.MessageRow:
    """One message, without what it says of whom."""
    body = json.loads(message.body)
    return {
        "id": message.id,
        "receiver": message.receiver,
        "status": str(body.get("status", "")),
        "group": str(body.get("group", "")),
        "made_ms": message.made_ms,
        "next_ms": message.next_ms,
        "tries": message.tries,
        "done_ms": message.done_ms,
        "result": message.result,
        "error": message.error,
    }


def receivers_of(settings: Settings) -> list[str]:
    """Names of all receivers."""
    alerts = settings.alerts
    return [hook.name for hook in alerts.webhooks] + [mail.name for mail in alerts.mails]
