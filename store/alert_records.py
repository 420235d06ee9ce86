"""What the store has of alerts, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """What is true of a rule's subject; ``store.alert_schema.alert_states`` says more."""

    rule: str
    subject: str
    user_name: str
    #: pending, firing
    phase: str
    since_ms: int
    fired_ms: int
    true_ms: int
    alert: str
    value: float
    worst: float

    @property
    def key(self) -> tuple[str, str, str]:
        """There is one of each."""
        return self.rule, self.subject, self.user_name

    @property
    def is_firing(self) -> bool:
        """Whether somebody should know by now."""
        return self.phase == "firing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that fires, or did; ``store.history_schema.alerts`` has the fields."""

    id: str
    rule: str
    severity: str
    subject: str
    user_name: str
    group_name: str
    began_ms: int
    since_ms: int
    ended_ms: int | None
    value: float
    worst: float
    threshold: float
    muted: str = ""
    #: a sentence (``text``), and where to look: job, attempt, node, gpu, worker, agent
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSight:
    """A rule at the last look; ``store.alert_schema.alert_rules`` has the fields."""

    rule: str
    at_ms: int
    value: float | None
    subject: str
    threshold: float
    seen: int
    pending: int
    firing: int
    enabled: bool
    severity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldGroup:
    """What a receiver was told of a group of alerts."""

    receiver: str
    name: str
    since_ms: int
    #: 0: nothing yet
    told_ms: int
    #: alerts that it knows as firing
    told: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something to be sent, or that was."""

    id: str
    receiver: str
    made_ms: int
    next_ms: int
    tries: int
    done_ms: int | None
    #: sent, given_up; "": neither yet
    result: str
    error: str
    #: JSON object
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Alerts that nobody is told of for a while. Both patterns must match."""

    id: str
    rule: str
    subject: str
    from_ms: int
    until_ms: int
    by_user: str
    why: str
