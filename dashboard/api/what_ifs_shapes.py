"""What ``dashboard.api.what_ifs`` takes and answers, as types."""

from __future__ import annotations

from typing import Any, TypedDict


class Waits(TypedDict):
    """Waits of some jobs, seconds."""

    jobs: int
    mean_s: float
    p50_s: float
    p95_s: float
    longest_s: float


class Side(TypedDict, total=False):
    """How the jobs fared: as recorded, played again, or with the change."""

    all: Waits
    #: jobs that ended without success in the simulation; 0 of what was recorded
    failed: int
    users: dict[str, Waits]
    groups: dict[str, Waits]
    lanes: dict[str, Waits]
    #: by the hour in which they were sent, ms since 1970 as text
    hours: dict[str, Waits]
    #: only of what was played: share of attempts that found their models, of busy time that loaded
    #: models, of all workers' time in which they were busy
    warm_hit: float
    load_share: float
    busy_share: float


class PlayedGpu(TypedDict):
    """A GPU as it was then."""

    id: str
    total_bytes: int
    workers: int


class Answered(TypedDict):
    """The three sides. The first two differ by the model's error, the last two by the change."""

    jobs: int
    #: there were more jobs: only the first ones were played, up to ``until_ms``
    cut: bool
    until_ms: int
    gpus: list[PlayedGpu]
    recorded: Side
    again: Side
    changed: Side


class WhatIf(TypedDict):
    """One question."""

    id: str
    asked_ms: int
    by_user: str
    from_ms: int
    until_ms: int
    #: as it was asked for
    change: dict[str, Any]
    #: waiting, running, done, failed, lost
    state: str
    started_ms: int | None
    ended_ms: int | None
    #: why it failed
    problem: str | None
    result: Answered | None


class WhatIfs(TypedDict):
    """The newest ones, without their results, newest first."""

    what_ifs: list[WhatIf]


class Choices(TypedDict):
    """What can be changed about a span."""

    from_ms: int
    until_ms: int
    jobs: int
    gpus: list[PlayedGpu]
    users: list[str]
    groups: list[str]
    #: the scheduler's numbers in force
    scheduler: dict[str, Any]
