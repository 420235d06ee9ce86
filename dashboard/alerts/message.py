"""What receivers are told, as JSON and as text (docs/alerts.md). Nothing of a prompt is in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from config.alert_rules import Rule
from dashboard.alerts.grouping import Due
from dashboard.alerts.kinds import KINDS
from dashboard.alerts.words import figure
from store.alert_records import Alert

#: Of an alert's detail, what is told: ids and our own sentences.
_TOLD: Final = ("job", "attempt", "node", "gpu", "index", "worker", "agent", "from_ms", "until_ms")
VERSION: Final = 1


def body_of(
    due: Due,
    message_id: str,
    ended: Iterable[Alert],
    rules: Mapping[str, Rule],
    now_ms: int,
    url: str,
) -> str:
    """The JSON text that is signed and sent.

    Args:
        due: what it is about.
        message_id: the same whenever it is sent again.
        ended: alerts of ``due.ended`` as far as they are known.
        rules: by name.
        now_ms: server time.
        url: of the dashboard, "" where no links are wanted.
    """
    over = [_alert(alert, rules, url) for alert in ended]
    body = {
        "version": VERSION,
        "id": message_id,
        "at_ms": now_ms,
        "receiver": due.receiver,
        "group": due.group,
        "status": "firing" if due.firing else "resolved",
        "firing": [_alert(alert, rules, url) for alert in due.firing],
        "more": due.more,
        "resolved": over,
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def trial_body(message_id: str, receiver: str, by: str, now_ms: int) -> str:
    """A message that says only that messages arrive."""
    body = {
        "version": VERSION,
        "id": message_id,
        "at_ms": now_ms,
        "receiver": receiver,
        "group": "",
        "status": "test",
        "text": f"A test, asked for by {by}: messages of vramgate arrive here.",
        "firing": [],
        "more": 0,
        "resolved": [],
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def _alert(alert: Alert, rules: Mapping[str, Rule], url: str) -> dict[str, Any]:
    rule = rules.get(alert.rule)
    unit = KINDS[rule.kind].unit if rule is not None else ""
    return {
        "id": alert.id,
        "rule": alert.rule,
        "severity": alert.severity,
        "subject": alert.subject,
        "user": alert.user_name,
        "group": alert.group_name,
        "text": str(alert.detail.get("text", "")),
        "value": alert.value,
        "worst": alert.worst,
        "limit": alert.threshold,
        "unit": unit,
        "since_ms": alert.since_ms,
        "ended_ms": alert.ended_ms,
        "labels": alert.detail.get("labels", {}),
        "where": {name: alert.detail[name] for name in _TOLD if name in alert.detail},
        **({"url": f"{url.rstrip('/')}/#/alerts/{alert.id}"} if url else {}),
    }


def subject_of(body: Mapping[str, Any]) -> str:
    """One line: ``[firing 2] slow_node``."""
    if body["status"] == "test":
        return "[test] vramgate"
    listed = body["firing"] or body["resolved"]
    rules = ", ".join(sorted({alert["rule"] for alert in listed})) or "alerts"
    count = len(body["firing"]) + body["more"] if body["firing"] else len(body["resolved"])
    return f"[{body['status']} {count}] {rules}"


def text_of(body: Mapping[str, Any]) -> str:
    """For people."""
    if body["status"] == "test":
        return f"{body['text']}\n"
    parts = [*_lines("Firing", body["firing"]), *_lines("Over", body["resolved"])]
    if body["more"]:
        parts.append(f"… and {body['more']} more that fire.")
    return "\n".join(parts) + "\n"


def _lines(title: str, alerts: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for alert in alerts:
        since = _time(alert["since_ms"])
        until = f" until {_time(alert['ended_ms'])}" if alert["ended_ms"] else ""
        lines += [
            f"{title}: {alert['rule']} ({alert['severity']}) {_subject(alert)}",
            f"  {alert['text']}",
            f"  {figure(alert['value'], alert['unit'])}, limit "
            f"{figure(alert['limit'], alert['unit'])}; since {since}{until}",
            *([f"  {alert['url']}"] if "url" in alert else []),
            "",
        ]
    return lines


def _subject(alert: Mapping[str, Any]) -> str:
    """What it is about; a GPU by where it is, as nobody knows its id by heart."""
    where = alert["where"]
    if alert["subject"].startswith("gpu:") and "agent" in where and "index" in where:
        return f"{where['agent']} GPU {where['index']}"
    return str(alert["subject"])


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
