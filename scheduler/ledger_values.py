"""What the ledger answers, orders and tells: the values that cross its seam.

Users import them from ``scheduler.ledger``, which names them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from scheduler.probed import Probed
from scheduler.states import (
    Agent,
    FailReason,
    Gpu,
    Job,
    JobState,
    Worker,
)

# ── what an admission promises ───────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a plan promises a job, and what that costs its user.

    Charges are microseconds of a whole GPU, divided by the user's (group's)
    weight: dominant share × ``seconds`` × 10⁶ ÷ weight, rounded. ``settle`` replaces
    them by ``charge × run_seconds ÷ seconds``, once.
    """

    #: device reservation; 0 where the GPU's bytes are not counted
    bytes: int
    #: the GPU's capacity by the plan, 0: not counted by bytes
    capacity_bytes: int
    #: expected run time there, loading included; above 0
    seconds: float = 1.0
    #: the part of ``seconds`` that loads models
    load_seconds: float = 0.0
    user_charge: int = 0
    group_charge: int = 0
    #: the same without any weight: what usage is counted by
    charge: int = 0
    #: it gets less than it could have, to learn what that costs (``scheduler.exploration``)
    trial: bool = False
    #: waiting jobs that this one is admitted past: each counts one skip
    passed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What forecasts of starts were worth lately (``scheduler.calibration``)."""

    #: factors on the waits that the run forward tells
    p50_factor: float = 1.0
    p90_factor: float = 1.0
    #: share of the ``scored`` last jobs that started by their p90; 0 while there are none
    coverage: float = 0.0
    scored: int = 0


# ── replies ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job is QUEUED, durably. ``remaining`` counts the user's unfinished jobs."""

    number: int
    remaining: int


@dataclass(frozen=True, slots=True)
class Duplicate:
    """This job id, prompt_id or idempotency key was submitted before, as ``job_id``.

    ``same_key`` tells a repeated idempotency key (answer as the first time)
    from a prompt_id that is taken.
    """

    job_id: str
    prompt_id: str
    number: int
    same_key: bool


@dataclass(frozen=True, slots=True)
class OverCap:
    """The user already has ``queued`` unfinished jobs; ``limit`` are allowed."""

    queued: int
    limit: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """The job is RESERVED for its worker; ``attempt`` fences everything that follows."""

    attempt: int


class Refusal(StrEnum):
    """Why a transition did nothing."""

    STALE_LEADER = "STALE_LEADER"
    CONFLICT = "CONFLICT"
    WORKER_GONE = "WORKER_GONE"
    GPU_GONE = "GPU_GONE"
    NO_FIT = "NO_FIT"
    FENCED = "FENCED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Claimed:
    """The job is RUNNING for this agent: its record and the prompt body as submitted."""

    job: Job
    prompt: bytes
    #: True: an earlier call of the same claim already did it (adopt, do not post twice blindly)
    again: bool


@dataclass(frozen=True, slots=True)
class Renewed:
    """The lease goes on. Both flags are orders told again, in case the first was lost."""

    #: somebody asked to cancel it: interrupt it
    cancel: bool
    #: its place is wanted for another job: interrupt it and give it back
    preempt: bool = False


class Ending(StrEnum):
    """How an attempt ended, as its agent saw it."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    #: not the job's fault (worker died): back to its old place in the queue
    LOST = "LOST"
    #: nobody's fault (the agent stops in order): back to its old place, and not counted
    RETURNED = "RETURNED"
    #: out of device memory: once more with ``retry_bytes``, the second time FAILED(oom)
    OOM = "OOM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What ``settle`` writes. All of it becomes visible at once, or none."""

    ending: Ending
    #: JSON object ``{"outputs", "status", "meta"}`` as in ComfyUI's history entry, user's names
    result: bytes
    #: JSON list of the closing frames ``[[type, data], …]`` that the client is still owed
    frames: bytes = b"[]"
    reason: FailReason | None = None
    #: highest device footprint seen, 0: not measured
    peak_bytes: int = 0
    run_seconds: float = 0.0
    #: reservation to ask for when it is tried again after OOM
    retry_bytes: int = 0
    #: True: nothing of earlier jobs is in ``peak_bytes``; False: something is, or nobody knows
    clean: bool = False
    #: what a probe told; None: the worker has none
    probed: Probed | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """The attempt is closed. ``state`` is where the job is now (QUEUED: it will run again)."""

    state: JobState


@dataclass(frozen=True, slots=True)
class CancelReply:
    """What ``cancel`` found. ``state`` after the call; None: no such job of this user."""

    state: JobState | None
    #: False: it had already ended, or was already being cancelled
    changed: bool


@dataclass(frozen=True, slots=True)
class Reaped:
    """One job whose lease had passed: QUEUED again, CANCELLED, or FAILED(poison)."""

    job_id: str
    state: JobState


# ── orders and events ────────────────────────────────────────────────────────


class OrderKind(StrEnum):
    """What an agent is told to do."""

    RUN = "run"
    CANCEL = "cancel"
    #: interrupt the prompt and settle RETURNED, unless it ends by itself first
    PREEMPT = "preempt"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Order:
    """One entry of an agent's inbox. ``job`` and ``attempt`` are empty for RELEASE."""

    kind: OrderKind
    worker: str
    job: str = ""
    attempt: int = 0


class EventKind(StrEnum):
    """One per transition, plus changes of workers that a plan cares for."""

    SUBMITTED = "submitted"
    ADMITTED = "admitted"
    CLAIMED = "claimed"
    #: back to QUEUED (lost lease, lost worker, out of memory)
    REQUEUED = "requeued"
    CANCELLING = "cancelling"
    #: its agent is told to interrupt it for another job
    PREEMPTING = "preempting"
    #: not to be started for now; it may start again; it has a new place in its user's queue
    HELD = "held"
    UNHELD = "unheld"
    MOVED = "moved"
    #: any terminal state
    SETTLED = "settled"
    #: a worker or GPU appeared, vanished, changed state, or freed memory: plan again
    CAPACITY = "capacity"
    #: a user's keys or settings were changed by an admin: reload overrides
    OVERRIDES = "overrides"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of the transition stream, oldest first. Unused fields are empty."""

    #: the stream's own id, ``<ms>-<n>``: the cursor
    id: str
    kind: EventKind
    at_ms: int
    job: str = ""
    user: str = ""
    prompt_id: str = ""
    client_id: str | None = None
    state: JobState | None = None
    attempt: int = 0
    worker: str = ""
    gpu: str = ""
    reason: str = ""
    #: the user's unfinished jobs after this transition
    remaining: int = 0
    #: closing frames of a settled job, JSON list of ``[type, data]``
    frames: bytes = b"[]"
    #: of an admission: what was reserved
    bytes: int = 0
    #: of an attempt's end: what it cost without weights, µs of a whole GPU
    cost: int = 0
    #: True: a worker had taken up this attempt or an earlier one
    begun: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """Who owns an output and where it lies.

    ``type``, ``subfolder`` and ``filename`` are the user's names; ``worker_*``
    are the names on the worker's disk. Files are found by record, never by
    guessing a path.
    """

    type: str
    subfolder: str
    filename: str
    agent: str
    worker: str
    worker_subfolder: str
    worker_filename: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An agent's heartbeat: everything it sees, in one call."""

    agent: Agent
    workers: Sequence[Worker] = ()
    gpus: Sequence[Gpu] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What the ledger answers to a heartbeat."""

    #: what the leading scheduler understands; 0: none has led yet. Where it is another than the
    #: agent's own, its workers count as DOWN
    protocol: int = 0
    #: GPU → the other agent that claims it: it is SUSPECT until one of them lets go
    rivals: Mapping[str, str] = field(default_factory=dict)
    #: a younger agent runs under the same name, and nothing was written
    replaced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What runs in a pool, for gateways and pages."""

    now_ms: int
    agents: Mapping[str, Agent] = field(default_factory=dict)
    workers: Mapping[str, Worker] = field(default_factory=dict)
    gpus: Mapping[str, Gpu] = field(default_factory=dict)
    #: live gateways, id → base URL for agents
    gateways: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserCounts:
    """One user's numbers, for pages and caps."""

    user: str
    queued: int
    running: int
