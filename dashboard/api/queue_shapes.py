"""What ``dashboard.api.queue`` answers, as types."""

from __future__ import annotations

from typing import TypedDict


class Blocker(TypedDict):
    """What is in a job's way: a ``gpu``, a ``worker`` or a ``job``, and what to call it."""

    kind: str
    id: str
    name: str


class QueuedJob(TypedDict):
    """One job that waits or runs. Times are milliseconds since the epoch; 0: not (yet) known."""

    id: str
    prompt_id: str
    user: str
    group: str
    state: str
    lane: str
    held: bool
    #: how many start no later in the whole pool, among the user's own; None: it runs or is held
    place: int | None
    own_place: int | None
    wait_reason: str
    wait_detail: str
    blocker: Blocker | None
    worker: str
    gpu: str
    submitted_ms: int
    started_ms: int
    start_p50_ms: int
    start_p90_ms: int
    #: promised while it runs, else what it needs
    bytes: int
    need_seconds: float
    attempt: int


class Counted(TypedDict):
    """A word to filter by, and how many jobs it would leave."""

    name: str
    jobs: int


class Queue(TypedDict):
    """A page of what waits and runs, as the caller may see it."""

    now_ms: int
    #: that match, of all that the caller may see
    matching: int
    jobs_seen: int
    #: everybody's
    waiting: int
    running: int
    start: int
    jobs: list[QueuedJob]
    users: list[Counted]
    reasons: list[Counted]
    lanes: list[Counted]
