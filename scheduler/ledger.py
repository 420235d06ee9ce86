"""The ledger: the one truth about jobs, workers and reservations.

``Ledger`` is the seam between those who decide (scheduler), those who do
(agents), those who ask (gateways) and the server that holds the books.
``redis_ledger`` implements it with one Lua script per transition.

Rules that every implementation keeps, and the contract suite checks:

* A transition happens whole or not at all, and twice is the same as once.
* Expected refusals are values. Only a server out of reach raises
  (``LedgerUnavailable``), and then nothing is known about the last call.
* Time is the server's. Ids and times are never the caller's clock.
* An ``attempt`` fences late agents, an ``epoch`` fences late leaders:
  both change nothing and are told so.
* Each transition appends one ``Event``; replaying them gives the same states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from scheduler.states import (
    Agent,
    FailReason,
    Gpu,
    Job,
    JobState,
    NewJob,
    Snapshot,
    WaitReason,
    Worker,
)


class LedgerUnavailable(Exception):
    """The ledger's server does not answer: check that Redis runs and ``redis.url`` is right."""


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
    """The lease goes on. ``cancel``: somebody asked to cancel, interrupt it."""

    cancel: bool


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
    #: True: the worker held nothing of earlier jobs when it began; False: or nobody knows
    clean: bool = False


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


# ── the seam, by who uses it ─────────────────────────────────────────────────


class SubmitSide(Protocol):
    """What a gateway needs. Every call is scoped to one user."""

    async def submit(
        self, job: NewJob, prompt: bytes, *, max_queued: int | None
    ) -> Submitted | Duplicate | OverCap:
        """Queue a job with its prompt body (JSON object, user's names)."""
        ...

    async def cancel(self, user: str, job_id: str) -> CancelReply:
        """Cancel one of the user's jobs in whatever state it is."""
        ...

    async def find(self, user: str, prompt_id: str) -> Job | None:
        """The user's job that its client knows by this id, in any state, or None."""
        ...

    async def unfinished(self, user: str) -> list[Job]:
        """The user's jobs that have not ended: active ones first, then in queue order."""
        ...

    async def ended(self, user: str, *, newest: int | None = None) -> list[Job]:
        """The user's ended jobs still in Redis, oldest first; at most the ``newest`` n."""
        ...

    async def prompts(self, job_ids: Sequence[str]) -> list[bytes | None]:
        """Bodies as submitted, in the order asked; None: unknown or trimmed."""
        ...

    async def results(self, job_ids: Sequence[str]) -> list[bytes | None]:
        """Results as settled, in the order asked; None: not ended or trimmed."""
        ...

    async def hide(self, user: str, job_ids: Sequence[str] | None) -> int:
        """Drop ended jobs from the user's history (None: all). Counts what was dropped."""
        ...

    async def remaining(self, user: str) -> int:
        """The user's unfinished jobs."""
        ...

    async def file(self, user: str, type: str, subfolder: str, filename: str) -> FileRecord | None:
        """Where one of the user's outputs lies, or None if no such file is theirs."""
        ...

    async def files(self, user: str, type: str) -> list[FileRecord]:
        """The user's outputs of one type (``output`` or ``temp``), newest first."""
        ...

    async def profiles(self, fingerprints: Sequence[str]) -> list[bytes | None]:
        """What was learned of each fingerprint (``scheduler.profile``), in the order asked.

        A profile that nobody has asked for or added to in 90 days is forgotten.
        """
        ...


class PlanSide(Protocol):
    """What the scheduler needs."""

    async def lead(self, owner: str, ttl_ms: int) -> int | None:
        """Take or keep the pool's leadership: its epoch, or None while another leads."""
        ...

    async def resign(self, owner: str, epoch: int) -> None:
        """Give leadership back at once, so that a successor need not wait."""
        ...

    async def snapshot(self, window: int) -> Snapshot:
        """Workers, GPUs, active jobs and the first ``window`` queued jobs of each user."""
        ...

    async def admit(
        self, epoch: int, job: Job, worker: Worker, bytes_: int, capacity_bytes: int, lease_ms: int
    ) -> Admitted | Refusal:
        """QUEUED → RESERVED. Re-checks epoch, rev, worker, its heartbeat and the bytes.

        ``capacity_bytes`` is the GPU's capacity by the plan (0: not counted by
        bytes); the ledger adds up the other workers' holds itself.
        """
        ...

    async def refuse(self, epoch: int, job: Job, reason: FailReason, message: str) -> bool:
        """QUEUED → FAILED for a job that can never run. False: it was no longer queued."""
        ...

    async def explain(self, epoch: int, waits: Mapping[str, tuple[WaitReason, str]]) -> None:
        """Write why queued jobs wait: reason and a sentence with figures."""
        ...

    async def release(self, epoch: int, worker: str) -> bool:
        """READY and idle → RELEASING, and tell its agent. False: it was not idle."""
        ...

    async def reap(self, epoch: int, max_losses: int) -> list[Reaped]:
        """Close every attempt whose lease has passed.

        A job whose worker was lost ``max_losses`` times ends FAILED(poison).
        """
        ...

    async def learn(self, epoch: int, job_id: str, profiles: Mapping[str, bytes]) -> bool:
        """Store what a closed attempt taught, by fingerprint; each attempt counts once.

        Returns:
            True: it is stored, by this call or an earlier one. False: the leader is
            stale, or the job unknown or never closed by its agent; nothing changed.
        """
        ...

    async def trim(self, epoch: int, keep: int, older_than_ms: int) -> int:
        """Drop ended jobs beyond ``keep`` per user or older, once the recorder has them.

        Their file records go with them.
        """
        ...

    async def forget(self, epoch: int, silent_ms: int) -> list[str]:
        """Drop agents, workers and GPUs that have no job and said nothing for that long.

        Returns:
            Their ids.
        """
        ...


class AgentSide(Protocol):
    """What a worker agent needs."""

    async def report(self, report: Report) -> None:
        """Heartbeat; also marks workers that the agent no longer names as gone."""
        ...

    async def next_order(self, agent: str, timeout_s: float) -> Order | None:
        """Wait for the next entry of the agent's inbox."""
        ...

    async def held(self, agent: str) -> list[Job]:
        """Active jobs on the agent's workers: what a restarted agent adopts."""
        ...

    async def claim(
        self, job_id: str, attempt: int, worker: str, attempt_uuid: str, sid: str, lease_ms: int
    ) -> Claimed | Refusal:
        """RESERVED → RUNNING. FENCED: no longer this attempt's to run."""
        ...

    async def renew(self, job_id: str, attempt: int, lease_ms: int) -> Renewed | Refusal:
        """Prolong the lease; FENCED: interrupt the prompt and drop what it made."""
        ...

    async def settle(self, job_id: str, attempt: int, outcome: Outcome) -> Settled | Refusal:
        """Close the attempt. Repeating the same call answers the same."""
        ...

    async def released(self, worker: str, used_bytes: int) -> None:
        """RELEASING → READY: the memory is back, as measured."""
        ...

    async def name_files(
        self,
        user: str,
        agent: str,
        worker: str,
        files: Sequence[tuple[str, str, str]],
        *,
        job_id: str = "",
    ) -> list[FileRecord]:
        """Give outputs ``(type, worker_subfolder, worker_filename)`` names in the user's space.

        The records stay as long as the newest job that named them (``job_id``); without
        one, for good.

        The same file of the same worker keeps its name; a name that another
        worker's file has already taken is counted on (``x_00001_.png`` →
        ``x_00002_.png``), as one ComfyUI would have done.
        """
        ...


class WatchSide(Protocol):
    """What everybody needs who follows what happens."""

    async def last_event_id(self) -> str:
        """Cursor of the newest event, ``"0-0"`` if there is none."""
        ...

    async def events(self, after: str, block_ms: int) -> list[Event]:
        """Events after the cursor; waits up to ``block_ms`` for the first one."""
        ...

    async def pool(self) -> Pool:
        """Agents, workers, GPUs and gateways as last reported."""
        ...

    async def counts(self) -> list[UserCounts]:
        """Queued and running jobs of every user who has any."""
        ...

    async def announce_gateway(self, gateway: str, url: str, ttl_ms: int) -> None:
        """Tell agents where a gateway answers (for input files)."""
        ...

    async def record_events(self, consumer: str, block_ms: int, count: int) -> list[Event]:
        """Events for the recorder's consumer group; delivered until acknowledged."""
        ...

    async def acknowledge(self, ids: Sequence[str]) -> None:
        """The recorder has stored these events."""
        ...

    async def jobs(self, job_ids: Sequence[str]) -> list[Job | None]:
        """Records by id, in the order asked (recorder and admin pages)."""
        ...

    async def ping(self) -> bool:
        """True when the server answers."""
        ...

    async def run_id(self) -> str:
        """Names this life of the server: another one after a restart or a failover."""
        ...


class OverrideSide(Protocol):
    """Admin edits that outlive and outrank the config file."""

    async def overrides(self) -> tuple[int, Mapping[str, str]]:
        """Revision and all overrides: dotted path → JSON text."""
        ...

    async def override(self, changes: Mapping[str, str | None]) -> int:
        """Set (JSON text) or clear (None) overrides; the new revision."""
        ...

    async def secret(self, name: str, candidate: str) -> str:
        """A shared secret made once: the candidate, or what another process stored first."""
        ...


class Ledger(SubmitSide, PlanSide, AgentSide, WatchSide, OverrideSide, Protocol):
    """The whole of it."""

    async def close(self) -> None:
        """Drop all connections."""
        ...
