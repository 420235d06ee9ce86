"""What users and groups may use in a calendar month, and what they have used of it (pure).

A budget counts GPU time as usage does: wall time divided by the jobs that run on the GPU.
It is added up from the store each minute, so that a budget is passed by what runs meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from scheduler.plan_config import Limits

#: The ledger's note that tells it.
SPENT_NOTE: Final = "spent"
_HOUR_US: Final = 3_600_000_000


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """GPU time of one month, µs."""

    #: ``2026-11``
    month: str
    users: dict[str, int]
    groups: dict[str, int]


@dataclass(frozen=True, slots=True)
class Budget:
    """GPU hours of a calendar month; None: no limit."""

    hours: float | None = None
    soft_hours: float | None = None


def month_of(at_ms: int, zone: ZoneInfo) -> str:
    """The month that a time belongs to there, ``2026-11``."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone):%Y-%m}"


def encode_spent(spent: Spent) -> str:
    """As text, for the ledger's note."""
    return msgspec.json.encode(spent).decode()


def decode_spent(text: str | None) -> Spent | None:
    """The same, back; None: nothing is known, or another version has written it."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Spent)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None


def hours_text(micros: int) -> str:
    """GPU time in hours; below one of them to two digits, so that little is not nothing."""
    hours = micros / _HOUR_US
    return f"{hours:.1f}" if hours >= 1 else f"{hours:.2g}"


def within(limits: Limits, budget: Budget, used: Mapping[str, int], name: str) -> Limits:
    """The limits, and what the budget makes of them."""
    micros = used.get(name, 0)
    text = ""
    if budget.hours is not None and micros >= budget.hours * _HOUR_US:
        text = f"has used {hours_text(micros)} of {budget.hours:g} GPU hours of this month"
    soft = budget.soft_hours is not None and micros >= budget.soft_hours * _HOUR_US
    return replace(limits, used_up=text, after_others=soft) if text or soft else limits
