"""What ``dashboard.api.alerts`` answers, as types."""

from __future__ import annotations

from typing import TypedDict


class AlertPlace(TypedDict, total=False):
    """Where to look: whatever is known of it."""

    job: str
    prompt_id: str
    attempt: int
    node: str
    gpu: str
    worker: str
    agent: str
    from_ms: int
    until_ms: int


class AlertRow(TypedDict):
    """Something that fires, or did. Figures are in ``unit``: seconds, share (0…1), celsius, jobs.

    ``below``: it fires below its limit, not above. ``muted``: why nobody is told of it:
    ``silence:<id>``, ``behind:<rule>`` (a consequence of that alert), or empty.
    """

    id: str
    rule: str
    kind: str
    severity: str
    subject: str
    user: str
    group: str
    text: str
    unit: str
    below: bool
    value: float
    worst: float
    limit: float
    began_ms: int
    since_ms: int
    ended_ms: int | None
    muted: str
    labels: dict[str, str]
    where: AlertPlace


class PendingRow(TypedDict):
    """What is true and has not been for long enough."""

    rule: str
    subject: str
    user: str
    value: float
    since_ms: int
    fires_ms: int


class AlertsNow(TypedDict):
    """What fires now. ``unwatched``: nobody has looked for too long, so that nothing is known."""

    enabled: bool
    looked_ms: int | None
    unwatched: bool
    now_ms: int
    firing: list[AlertRow]
    pending: list[PendingRow]


class AlertsPast(TypedDict):
    """Alerts that began within a time, newest first. ``more``: there are further pages."""

    from_ms: int
    until_ms: int
    alerts: list[AlertRow]
    more: bool


class RuleRow(TypedDict):
    """A rule, and (for admins) its figure that is nearest to the limit; null: there is none."""

    name: str
    kind: str
    about: str
    severity: str
    enabled: bool
    unit: str
    below: bool
    limit: float
    clear: float | None
    lasts_seconds: float
    happens: bool
    scope: list[str]
    labels: dict[str, str]
    value: float | None
    value_limit: float | None
    subject: str
    looked_ms: int | None
    seen: int
    pending: int
    firing: int


class AlertRules(TypedDict):
    """All rules, in the order of the config file behind the built-in ones."""

    rules: list[RuleRow]


class SilenceRow(TypedDict):
    """Alerts that nobody is told of from … until: patterns of rule and subject."""

    id: str
    rule: str
    subject: str
    from_ms: int
    until_ms: int
    by_user: str
    why: str


class Silences(TypedDict):
    """Silences in force, and those that were."""

    silences: list[SilenceRow]


class MessageRow(TypedDict):
    """A message to a receiver. ``result``: ``sent``, ``given_up``, or empty while it is tried."""

    id: str
    receiver: str
    status: str
    group: str
    made_ms: int
    next_ms: int
    tries: int
    done_ms: int | None
    result: str
    error: str


class Messages(TypedDict):
    """Receivers as the config file names them, and the newest messages."""

    receivers: list[str]
    messages: list[MessageRow]


class Queued(TypedDict):
    """Messages that were put into the line."""

    messages: list[str]
