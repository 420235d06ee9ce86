"""What is told of maintenance, as types."""

from __future__ import annotations

from typing import TypedDict


class MaintenanceState(TypedDict):
    """Whether nothing new starts, why, and until when (ms since 1970; null: nobody knows)."""

    on: bool
    message: str
    until_ms: int | None
