"""What the dashboard's API answers, as types.

The code that answers is checked against them, and ``dashboard.description`` is made of them.
"""

from __future__ import annotations

from typing import Any, TypedDict


class Failed(TypedDict):
    """Why a request got nothing; says what to do next."""

    error: str


class NotChanged(TypedDict):
    """Why a job was left as it is, and its state where it has one."""

    error: str
    state: str


class Changed(TypedDict):
    """A job after an action; ``changed`` is false where it was so before."""

    prompt_id: str
    state: str
    changed: bool


class Totals(TypedDict):
    """Counts over everybody."""

    queued: int
    running: int
    workers: int
    busy: int


class QueueRow(TypedDict):
    """One user's numbers; to users who are no admins all others are one user, ``others``."""

    user: str
    queued: int
    running: int


class JobRow(TypedDict):
    """A job that runs, since ``since_ms`` (milliseconds since the epoch)."""

    prompt_id: str
    user: str
    state: str
    wait_reason: str
    wait_detail: str
    worker: str
    gpu: str
    since_ms: int
    seconds: float


class Outlook(TypedDict):
    """What is in a waiting job's way, and in how many seconds it should start."""

    blocker: str
    start_p50_seconds: float | None
    start_p90_seconds: float | None


class WaitingRow(JobRow, Outlook):
    """A job that waits, since ``since_ms`` (milliseconds since the epoch)."""


class GpuRow(TypedDict):
    """A GPU's memory, cut into who holds it: bytes of device footprint."""

    id: str
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


class WorkerRow(TypedDict):
    """A worker; whose job it has is told to that user and to admins."""

    id: str
    agent: str
    gpu: str
    state: str
    silent: bool
    busy: bool
    user: str
    used_bytes: int
    reserved_bytes: int
    models: list[str]


class EndedRow(TypedDict):
    """Jobs that ended within the last minutes."""

    succeeded: int
    failed: int
    cancelled: int


class Ended(TypedDict):
    """Everybody's and the caller's, over so many minutes."""

    minutes: int
    all: EndedRow
    own: EndedRow


class Overview(TypedDict):
    """One moment of the pool, as the caller may see it."""

    now_ms: int
    user: str
    role: str
    totals: Totals
    queue: list[QueueRow]
    running: list[JobRow]
    running_more: int
    waiting: list[WaitingRow]
    waiting_more: int
    gpus: list[GpuRow]
    workers: list[WorkerRow]
    ended: Ended


class CurveStep(TypedDict):
    """With so much memory a run takes so long."""

    bytes: int
    seconds: float


class NeededBytes(TypedDict):
    """Device memory of one run."""

    need: int
    floor: int
    curve: list[CurveStep]


class NeededSeconds(TypedDict):
    """How long a run takes, how long a slow one, and loading the models first."""

    run: float
    late: float
    load: float


class Model(TypedDict):
    """A model that a workflow names; null: nobody knows its size."""

    name: str
    bytes: int | None


class Needs(TypedDict):
    """What a workflow needs, on whatever pool."""

    needs_gpu: bool
    cold: bool
    runs: int
    bytes: NeededBytes
    host_bytes: int
    seconds: NeededSeconds
    models: list[Model]


class PlaceRow(TypedDict):
    """A GPU, or a worker without one (``index`` null), and whether the workflow fits there."""

    id: str
    name: str
    agent: str
    index: int | None
    fits: str
    capacity_bytes: int


class Start(TypedDict):
    """When and where it would start, in seconds from now."""

    p50_seconds: float
    p90_seconds: float
    worker: str
    gpu: str


class Trust(TypedDict):
    """How often forecasts came true (share of ``scored``)."""

    coverage: float
    scored: int


class Estimate(Needs):
    """What a workflow would need, where it fits, and when it would start."""

    user: str
    refused: str
    places: list[PlaceRow]
    start: Start | None
    forecasts: Trust


class WrongWorkflow(TypedDict):
    """What is wrong with a workflow, by node as ComfyUI words it."""

    error: str
    node_errors: dict[str, Any]
