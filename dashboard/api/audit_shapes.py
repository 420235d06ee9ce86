"""What is told of the audit log, as types."""

from __future__ import annotations

from typing import Any, TypedDict


class AuditEntry(TypedDict):
    """Who did what to what, ms since 1970; ``user``: whom it concerns, "" nobody."""

    id: str
    at_ms: int
    by: str
    action: str
    subject: str
    user: str
    detail: dict[str, Any]


class AuditPage(TypedDict):
    """Entries, newest first; ``next``: where the page after begins, null at the end."""

    entries: list[AuditEntry]
    next: str | None
    #: seconds that entries are kept; null: for good
    keep_seconds: float | None
