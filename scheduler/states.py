"""The nouns of the ledger: jobs, workers, GPUs, and what may become of a job.

Everything here is a value: frozen, without behaviour that needs a clock, a socket or Redis.
All bytes are *device footprint* (torch reserved + the process's context + whatever lies outside
torch); all ``*_ms`` are milliseconds of the Redis server's clock since the epoch.

    QUEUED ──admit──▶ RESERVED ──claim──▶ RUNNING ──settle──▶ SUCCEEDED | FAILED
      │ ▲                │                  │
      │ └── lease lost, retry due ──────────┤
      │                  │                  └──cancel──▶ CANCELLING ──settle──▶ CANCELLED
      └──── cancel ──────┴──▶ CANCELLED

``CANCELLING`` exists because a running prompt has to be interrupted on its
worker first; a job that finished before the interrupt landed ends as it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from scheduler.catalogue import Catalogue
from scheduler.fleet import Agent as Agent
from scheduler.fleet import Gpu as Gpu
from scheduler.fleet import GpuState as GpuState
from scheduler.fleet import MemoryLimit as MemoryLimit
from scheduler.fleet import MemorySource as MemorySource
from scheduler.fleet import Vitals as Vitals
from scheduler.fleet import Worker as Worker
from scheduler.fleet import WorkerState as WorkerState
from scheduler.probed import Probed


class JobState(StrEnum):
    """Where a job is; the arrows are in the module's docstring."""

    QUEUED = "QUEUED"
    RESERVED = "RESERVED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


#: States in which a job holds a reservation and a lease.
ACTIVE: Final = frozenset({JobState.RESERVED, JobState.RUNNING, JobState.CANCELLING})
#: States that absorb: nothing leaves them.
TERMINAL: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})

#: The whole state machine; the ledgers' tests walk it.
TRANSITIONS: Final[dict[JobState, frozenset[JobState]]] = {
    JobState.QUEUED: frozenset({JobState.RESERVED, JobState.CANCELLED, JobState.FAILED}),
    JobState.RESERVED: frozenset(
        {JobState.RUNNING, JobState.QUEUED, JobState.CANCELLED, JobState.FAILED}
    ),
    JobState.RUNNING: TERMINAL | {JobState.CANCELLING, JobState.QUEUED},
    JobState.CANCELLING: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


class FailReason(StrEnum):
    """Why a job ended FAILED."""

    NODE_ERROR = "node_error"
    OOM = "oom"
    LOST = "lost"
    POISON = "poison"
    INFEASIBLE = "infeasible"
    EXPIRED = "expired"
    HUNG = "hung"


class WaitReason(StrEnum):
    """Why a queued job has not started; shown to its user."""

    NO_HEADROOM = "no_headroom"
    CAP = "cap"
    FAIRNESS = "fairness"
    HELD_FOR_HEAD = "held_for_head"
    NO_WORKER = "no_worker"
    RELEASING = "releasing"
    #: a worker that has its models loaded is free sooner than they are loaded elsewhere
    WARM_SOON = "warm_soon"
    NO_HOST_RAM = "no_host_ram"
    GPU_SUSPECT = "gpu_suspect"
    MODEL_MISSING = "model_missing"
    HELD = "held"
    BUDGET = "budget"
    #: nothing new starts
    MAINTENANCE = "maintenance"


class Lane(StrEnum):
    """How urgent a job is: somebody watches it, or nobody does."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file of the user's own that a prompt reads, fixed at submit.

    ``path`` is the user's name for it (``sub/pic.png``); the bytes are found
    by ``sha256`` (hex), so a later upload of the same name changes no queued job.
    """

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Step:
    """One point of a workflow's curve of time over memory."""

    #: device footprint that it is promised
    bytes: int
    #: run time with it, models loaded
    seconds: float


@dataclass(frozen=True, slots=True)
class Guess:
    """What formulas say of a workflow before any run; what is learned is a ratio to it."""

    #: device footprint; 0: nothing is computed on a GPU
    bytes: int = 0
    #: run time, models loaded
    seconds: float = 0.0
    #: loading all models on an empty worker
    load_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What the gateway hands to ``Ledger.submit``."""

    #: lowercase uuid4, minted by the gateway
    id: str
    user: str
    group: str
    #: what the client calls it: ``id``, or the id that the client chose
    prompt_id: str
    #: the client's websocket id, for the way back; None: it named none
    client_id: str | None
    lane: Lane
    #: True: to the top of the user's own share (ComfyUI's ``front``)
    front: bool
    fingerprint: str
    #: model files the graph loads, for warm placement, e.g. ``checkpoints/a.safetensors``
    models: tuple[str, ...]
    #: comfortable peak: what it takes where there is room
    need_bytes: int
    #: run time with that and its models loaded, expected
    need_seconds: float
    #: False: no node of the graph loads a model or computes on a GPU
    needs_gpu: bool
    inputs: tuple[InputFile, ...] = ()
    #: the client's idempotency key, unique per user; None: none given
    idempotency_key: str | None = None
    #: coarser fingerprints of the same workflow, nearest first: what is known when it is new
    parents: tuple[str, ...] = ()
    #: bytes of each of ``models``, in the same order; shorter or 0: not known
    model_bytes: tuple[int, ...] = ()
    #: expected seconds to load all its models on an empty worker
    load_seconds: float = 0.0
    #: run time that it hardly ever exceeds (95 %), models loaded; 0: not known
    late_seconds: float = 0.0
    #: smaller reservations that it also runs in, fewest bytes first, all below ``need_bytes``
    curve: tuple[Step, ...] = ()
    #: host memory that its worker needs for it: weights and what is offloaded
    host_bytes: int = 0
    #: it must have started so many seconds after submit, or it fails; None: it may wait
    deadline_s: float | None = None
    guess: Guess = Guess()
    #: what its worker must offer (``scheduler.catalogue.requires``); "": anything will do
    requires: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Our record of a prompt, as the ledger holds it."""

    id: str
    user: str
    group: str
    prompt_id: str
    client_id: str | None
    state: JobState
    #: grows by one with each transition; a plan names the one it saw
    rev: int
    #: tries so far; fences agents that come back late
    attempt: int
    #: the user's own count of prompts, as ComfyUI's ``number``
    number: int
    lane: Lane
    fingerprint: str
    models: tuple[str, ...]
    need_bytes: int
    need_seconds: float
    needs_gpu: bool
    inputs: tuple[InputFile, ...]
    submitted_ms: int
    admitted_ms: int = 0
    started_ms: int = 0
    ended_ms: int = 0
    worker: str = ""
    #: id of the GPU, "" while queued or on a worker without one
    gpu: str = ""
    reserved_bytes: int = 0
    #: prompt_id under which the current attempt runs on its worker
    attempt_uuid: str = ""
    #: the client_id of the agent's socket that the attempt was posted with
    sid: str = ""
    #: times a lease or a worker was lost under it
    losses: int = 0
    #: times it ran out of device memory
    ooms: int = 0
    reason: FailReason | None = None
    wait_reason: WaitReason | None = None
    #: a sentence for the user: what blocks, with figures
    wait_detail: str = ""
    peak_bytes: int = 0
    #: as its agent measured; 0 until it has ended
    run_seconds: float = 0.0
    #: the last attempt began on an empty worker, so ``peak_bytes`` is this job's alone
    clean: bool = False
    #: what the probe told of the last attempt; None: no probe, or the attempt was lost
    probed: Probed | None = None
    #: coarser fingerprints of the same workflow, nearest first
    parents: tuple[str, ...] = ()
    model_bytes: tuple[int, ...] = ()
    load_seconds: float = 0.0
    late_seconds: float = 0.0
    curve: tuple[Step, ...] = ()
    host_bytes: int = 0
    #: server time at which it fails if it has not started; 0: it may wait
    deadline_ms: int = 0
    #: True: QUEUED, but not to be started until its user lets it
    held: bool = False
    #: later jobs that were admitted past it
    skips: int = 0
    #: times it was interrupted to make room
    preemptions: int = 0
    #: True: a worker has taken up this attempt or an earlier one
    begun: bool = False
    #: True: its agent was told to interrupt it and give it back
    preempting: bool = False
    #: what the last admission promised beside bytes (``Grant``)
    granted_seconds: float = 0.0
    granted_load_seconds: float = 0.0
    #: this attempt tries what less memory costs
    trial: bool = False
    #: charges of the active attempt, and what closed attempts cost; ``Grant`` has the unit
    user_charge: int = 0
    group_charge: int = 0
    user_cost: int = 0
    group_cost: int = 0
    #: the same without weights: of the active attempt, and of closed ones
    charge: int = 0
    cost: int = 0
    guess: Guess = Guess()
    #: id of the GPU, worker or job in its way; "": none in particular
    wait_blocker: str = ""
    #: server time by which it starts as likely as not, and in 90 % of cases; 0: not foreseen
    start_p50_ms: int = 0
    start_p90_ms: int = 0
    requires: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """One user's queued jobs, as far as a plan looks, in the user's own order."""

    user: str
    group: str
    #: all queued jobs of the user
    queued: int
    #: RESERVED + RUNNING + CANCELLING
    running: int
    #: the first ``window`` of them
    jobs: tuple[Job, ...]
    #: server time of the user's last admission, 0 if none: breaks ties
    last_admitted_ms: int = 0
    #: the user's virtual counter within the group (design, *Fairness*): least goes first
    virtual: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one plan sees. Nothing in it is a promise: ``admit`` checks again."""

    now_ms: int
    gpus: tuple[Gpu, ...]
    workers: tuple[Worker, ...]
    backlogs: tuple[Backlog, ...]
    #: jobs in an ACTIVE state, by id
    active: Mapping[str, Job] = field(default_factory=dict)
    agents: tuple[Agent, ...] = ()
    #: virtual counters of the groups with backlogged users
    groups: Mapping[str, int] = field(default_factory=dict)
    #: what the workers offer, by digest; one that is not here is taken to offer everything
    catalogues: Mapping[str, Catalogue] = field(default_factory=dict)
    #: names the life of the server that it was read from (``WatchSide.run_id``)
    life: str = field(default="", compare=False)
