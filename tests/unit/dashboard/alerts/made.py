"""Alerts with harmless defaults; tests name only what matters to them."""

from __future__ import annotations

from typing import Any

from store.alert_records import Alert


def alert(alert_id: str = "a", **changes: Any) -> Alert:
    """A slow node of ann's."""
    fields: dict[str, Any] = {
        "id": alert_id, "rule": "slow_node", "severity": "warning", "subject": "node:VAEDecode",
        "user_name": "ann", "group_name": "film", "began_ms": 1, "since_ms": 1, "ended_ms": None,
        "value": 12.0, "worst": 12.0, "threshold": 5.0, "muted": "", "detail": {},
    }  # fmt: skip
    return Alert(**(fields | changes))
