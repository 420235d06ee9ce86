"""What a live page is told, as types: tables of rows, and what changes in them."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class Told(TypedDict):
    """The pool's own figures; the table ``pool`` has one row."""

    queued: int
    running: int
    workers: int
    busy: int
    ended_minutes: int
    succeeded: int
    failed: int
    cancelled: int
    own_succeeded: int
    own_failed: int
    own_cancelled: int
    #: that fire and are not muted: the caller's, for admins all; of these, critical ones
    alerts: int
    alerts_critical: int
    #: nobody looks at the rules of alerts any more
    alerts_unwatched: bool
    #: nothing new starts; why, and until when (0: nobody knows)
    closed: bool
    closed_why: str
    closed_until_ms: int


class LiveQueueRow(TypedDict):
    """One user's numbers; to users who are no admins all others are one user, ``others``."""

    queued: int
    running: int


class LiveJob(TypedDict):
    """A job that waits or runs, since ``since_ms``; ``bytes``: promised, or needed."""

    prompt_id: str
    user: str
    state: str
    lane: str
    wait_reason: str
    wait_detail: str
    blocker: str
    worker: str
    gpu: str
    since_ms: int
    #: server time; 0: not foreseen
    start_p50_ms: int
    start_p90_ms: int
    bytes: int
    need_seconds: float
    attempt: int


class LiveGpu(TypedDict):
    """A GPU's memory in bytes of device footprint, and its vitals; null: not told."""

    name: str
    agent: str
    index: int
    state: str
    memory_source: str
    silent: bool
    total_bytes: int
    foreign_bytes: int
    resident_bytes: int
    reserved_bytes: int
    free_bytes: int
    utilisation: float | None
    temperature: int | None
    power_mw: int | None
    clock_mhz: int | None
    throttled: list[str]
    ecc_uncorrected: int | None
    by_process: bool
    trouble: str
    rival: str


class LiveWorker(TypedDict):
    """A worker; whose job it has is told to that user and to admins."""

    agent: str
    gpu: str
    state: str
    silent: bool
    busy: bool
    user: str
    used_bytes: int
    reserved_bytes: int
    hold_bytes: int
    limit: str
    detail: str
    models: list[str]


class LiveProgress(TypedDict):
    """Where a running job stands: the node that runs, and how far."""

    node: str
    class_type: str
    #: of the node, as ComfyUI says it; 0 of 0: it does not
    value: float
    most: float
    #: nodes that are over, and in all; 0: not known
    done: int
    nodes: int
    #: server time since when the node runs
    since_ms: int


class Tables(TypedDict, total=False):
    """Rows by id. Of a row that is known already only what has changed."""

    pool: dict[str, Told]
    queue: dict[str, LiveQueueRow]
    running: dict[str, LiveJob]
    waiting: dict[str, LiveJob]
    gpus: dict[str, LiveGpu]
    workers: dict[str, LiveWorker]
    progress: dict[str, LiveProgress]


class LiveHolder(TypedDict):
    """What a worker held at the moments of its GPU's curve, and for whom (empty: idle)."""

    worker: str
    user: str
    bytes: list[int]


class LiveCurve(TypedDict):
    """A GPU's memory over the last minutes, in columns as charts want them."""

    at_ms: list[int]
    foreign_bytes: list[int]
    resident_bytes: list[int]
    reserved_bytes: list[int]
    free_bytes: list[int]
    holders: list[LiveHolder]


class Still(TypedDict):
    """The line is up and nothing has changed."""

    type: Literal["still"]


class Unavailable(TypedDict):
    """There are no figures just now."""

    type: Literal["unavailable"]
    user: str
    role: str
    message: str


class Snapshot(TypedDict):
    """Everything: the first message, and whenever what was missed is no longer known.

    A page that comes back with ``?life=&version=`` of the last message gets an ``Update`` with
    all that it has missed, where it is known.
    """

    type: Literal["snapshot"]
    life: str
    version: int
    now_ms: int
    user: str
    role: str
    put: Tables
    curves: dict[str, LiveCurve]


class Update(TypedDict):
    """What has changed since the version before: rows that are gone, then rows to put."""

    type: Literal["update"]
    version: int
    now_ms: int
    put: Tables
    gone: dict[str, list[str]]
    #: after a gap: what was missed of the curves
    curves: NotRequired[dict[str, LiveCurve]]


#: what a live page is told
Message = Snapshot | Update | Still | Unavailable
