"""What ``dashboard.api.jobs`` answers, as types.

Times ``*_ms`` are milliseconds since 1970, 0 where it has not happened; sizes are bytes of device
footprint but where a name says otherwise.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from dashboard.api.samples_shapes import Gap


class WorkflowName(TypedDict):
    """A kind of workflow, and what people may call it."""

    fingerprint: str
    name: str


class JobLine(TypedDict):
    """A job in a list. ``reason`` is why it failed or, while it waits, what keeps it; "": nothing."""

    id: str
    prompt_id: str
    user: str
    group: str
    state: str
    reason: str
    lane: str
    workflow: WorkflowName
    worker: str
    gpu: str
    attempts: int
    losses: int
    ooms: int
    submitted_ms: int
    started_ms: int
    ended_ms: int
    #: from submission to the first attempt's admission; null: not known
    wait_seconds: float | None
    run_seconds: float
    need_bytes: int
    need_seconds: float
    reserved_bytes: int
    peak_bytes: int


class JobList(TypedDict):
    """Jobs, newest first; those that have not ended stand apart, on the first page alone.

    Of those a thousand at most: `/api/v1/queue` has all, in pages.
    """

    unfinished: list[JobLine]
    jobs: list[JobLine]
    #: ask with ``before=`` this for what follows; null: that was all
    next: str | None


class StoryStep(TypedDict):
    """A stretch of a job's life: it waits, starts (its worker has yet to take it), or runs.

    ``until_ms`` null: it goes on. ``state`` and ``reason`` are those after the stretch: ``QUEUED``
    means that it was to run again.
    """

    what: Literal["waiting", "starting", "running"]
    attempt: int
    from_ms: int
    until_ms: int | None
    state: str
    reason: str
    worker: str
    gpu: str
    reserved_bytes: int


class WaitShare(TypedDict):
    """What the user's jobs waited for meanwhile. ``blocker`` is ``gpu:…``, ``worker:…``, ``user:…``."""

    reason: str
    blocker: str
    share: float


class Waiting(TypedDict):
    """What keeps a job that waits now, and when it should start (0: not foreseen)."""

    reason: str
    detail: str
    blocker: str
    start_p50_ms: int
    start_p90_ms: int


class Output(TypedDict):
    """A file that the job made, by the names that ``/view`` takes."""

    node: str
    kind: Literal["image", "video", "audio", "other"]
    filename: str
    subfolder: str
    type: str


class NodeBar(TypedDict):
    """One node of the graph.

    ``reached`` nodes were told by the probe; of the others only the graph is known: they were handed
    over from the cache (``cached``), or it never came to them. ``slow`` says why a node is marked:
    ``late`` (slower than 95 % of the compared runs), ``long`` (more than five seconds).
    ``load_seconds`` of its ``seconds`` went into loading models. Memory is what torch had
    allocated. ``percentile`` is the share of the compared runs that took no longer, 0…1.
    """

    node: str
    display: str
    class_type: str
    title: str
    reached: bool
    state: Literal["done", "cached", "failed", "interrupted", "missing"]
    started_ms: int
    seconds: float
    load_seconds: float
    calls: int
    error: str
    before_bytes: int | None
    after_bytes: int | None
    peak_bytes: int | None
    out_bytes: int | None
    fallback: str
    usual_seconds: float | None
    late_seconds: float | None
    percentile: float | None
    slow: list[str]


class Move(TypedDict):
    """A model came (``load``) or left (``unload``); it took ``seconds`` up to ``at_ms``."""

    at_ms: int
    what: str
    model: str
    node: str
    bytes: int
    loaded_bytes: int
    seconds: float


class Memory(TypedDict):
    """The worker's memory while it ran, in columns. Gaps are not known and never zeros.

    ``allocated`` and ``reserved`` are torch's, ``footprint`` is what the card sees of the process,
    ``device_free`` what was free on the card.
    """

    at_ms: list[int]
    allocated: list[int]
    reserved: list[int]
    footprint: list[int]
    device_free: list[int | None]
    gaps: list[Gap]
    #: records that the probe had to drop
    lost: int


class Ran(TypedDict):
    """An attempt as the probe told it at its end."""

    started_ms: int
    seconds: float
    result: str
    nodes: int
    cached: int
    peak_allocated: int | None
    peak_reserved: int | None
    limit_bytes: int | None
    loads: int
    load_seconds: float
    overlap: bool


class JobDetail(TypedDict):
    """Everything about one job, of its attempt ``attempt`` (0: it has had none)."""

    job: JobLine
    #: expected: loading its models
    load_seconds: float
    steps: list[StoryStep]
    waited: list[WaitShare]
    waiting: Waiting | None
    attempt: int
    #: the probe's word; null: no probe, or it has not ended
    ran: Ran | None
    nodes: list[NodeBar]
    moves: list[Move]
    memory: Memory
    #: runs that nodes were compared with
    compared: int
    #: the owner's alone
    outputs: list[Output]
    now_ms: int


class PastRun(TypedDict):
    """What a node took in an earlier job; ``job`` is empty where it is not the asker's to see."""

    job: str
    ended_ms: int
    seconds: float


class NodeDetail(TypedDict):
    """One node: what it was given (texts redacted by the probe) and gave, and how usual that is.

    ``picture``: the probe has taken one, for the owner; it may be gone.
    """

    bar: NodeBar
    inputs: dict[str, Any]
    #: by output slot
    results: dict[str, Any]
    files: list[Output]
    picture: bool
    past: list[PastRun]
    compared: int


class ChangedInput(TypedDict):
    """An input that differs between two jobs; null: it has none of that name."""

    name: str
    a: Any
    b: Any


class ComparedNode(TypedDict):
    """A node of two jobs; null: only the other one has it.

    ``lost_seconds``: how much longer ``a`` took.
    """

    class_type: str
    node_a: str | None
    node_b: str | None
    state_a: str | None
    state_b: str | None
    seconds_a: float | None
    seconds_b: float | None
    load_a: float
    load_b: float
    peak_a: int | None
    peak_b: int | None
    fallback_a: str
    fallback_b: str
    lost_seconds: float
    changed: list[ChangedInput]


class ComparedPart(TypedDict):
    """A part of two jobs' time: waiting, loading models, nodes, what lies between them."""

    what: Literal["waiting", "loading", "nodes", "between"]
    seconds_a: float
    seconds_b: float
    lost_seconds: float


class Comparison(TypedDict):
    """Two jobs side by side, what lost most time first."""

    a: JobLine
    b: JobLine
    parts: list[ComparedPart]
    nodes: list[ComparedNode]
