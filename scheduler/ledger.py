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
from typing import Protocol

from scheduler.catalogue_side import CatalogueSide
from scheduler.ledger_lists import ListSide
from scheduler.ledger_records import RecordSide
from scheduler.ledger_shared import NoteSide, OverrideSide
from scheduler.ledger_values import (
    Admitted,
    CancelReply,
    Claimed,
    Duplicate,
    Ending,
    Event,
    EventKind,
    FileRecord,
    Grant,
    Order,
    OrderKind,
    Outcome,
    OverCap,
    Pool,
    Reaped,
    Refusal,
    Renewed,
    Report,
    Reported,
    Settled,
    Submitted,
    Trust,
    UserCounts,
)
from scheduler.states import (
    FailReason,
    Job,
    NewJob,
    Snapshot,
    WaitReason,
    Worker,
)

__all__ = [
    "Admitted",
    "AgentSide",
    "CancelReply",
    "Claimed",
    "Duplicate",
    "Ending",
    "Event",
    "EventKind",
    "FileRecord",
    "Grant",
    "Ledger",
    "LedgerUnavailable",
    "NoteSide",
    "Order",
    "OrderKind",
    "Outcome",
    "OverCap",
    "OverrideSide",
    "PlanSide",
    "Pool",
    "Reaped",
    "Refusal",
    "Renewed",
    "Report",
    "Settled",
    "SubmitSide",
    "Submitted",
    "Trust",
    "UserCounts",
    "WatchSide",
]


class LedgerUnavailable(Exception):
    """The ledger's server does not answer: check that Redis runs and ``redis.url`` is right."""


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

    async def hold(self, user: str, job_id: str, *, held: bool) -> CancelReply:
        """Keep one of the user's QUEUED jobs from starting, or let it start again.

        Its place stays. ``changed`` False: it was so already, or is no longer QUEUED.
        """
        ...

    async def move(self, user: str, job_id: str, *, front: bool) -> CancelReply:
        """Give one of the user's QUEUED jobs the first or the last place of its lane.

        Batch jobs stand behind all interactive ones of their user.

        ``changed`` False: it is no longer QUEUED.
        """
        ...

    async def find(self, user: str, prompt_id: str) -> Job | None:
        """The user's job that its client knows by this id, in any state, or None."""
        ...

    async def unfinished(self, user: str, *, first: int | None = None) -> list[Job]:
        """The user's jobs that have not ended: active ones first, then in queue order.

        With ``first`` at most so many of those that may start, and none that is held.
        """
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
        """Workers, GPUs, active jobs, counters, and the first ``window`` jobs of each user.

        Held jobs are not among them.
        """
        ...

    async def admit(
        self, epoch: int, job: Job, worker: Worker, grant: Grant, lease_ms: int
    ) -> Admitted | Refusal:
        """QUEUED → RESERVED. Re-checks epoch, rev, worker, its heartbeat and the bytes.

        The ledger adds up the other workers' holds itself, and charges user and group.
        """
        ...

    async def preempt(self, epoch: int, job: Job) -> bool:
        """Tell a RUNNING job's agent to interrupt it and give it back.

        The job stays RUNNING until then. Being told twice is the same as once.

        Returns:
            False: the leader is stale, or the job has changed since (``rev``).
        """
        ...

    async def refuse(self, epoch: int, job: Job, reason: FailReason, message: str) -> bool:
        """QUEUED → FAILED for a job that can never run. False: it was no longer queued."""
        ...

    async def explain(self, epoch: int, waits: Mapping[str, tuple[WaitReason, str, str]]) -> None:
        """Write why queued jobs wait: reason, a sentence with figures, and what blocks.

        What blocks is the id of a GPU, worker or job, "" for none in particular.
        """
        ...

    async def foresee(
        self, epoch: int, starts: Mapping[str, tuple[int, int]], trust: Trust
    ) -> None:
        """Write when queued jobs should start, p50 and p90 in ms of server time, and its worth."""
        ...

    async def release(self, epoch: int | None, worker: str) -> bool:
        """READY and idle → RELEASING, and tell its agent. False: it was not idle.

        ``epoch`` None: an admin's order, which nobody has to lead for.
        """
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

    async def all_profiles(self) -> dict[str, bytes]:
        """Everything that was learned, by fingerprint (for export; not for hot paths)."""
        ...

    async def put_profiles(self, profiles: Mapping[str, bytes]) -> None:
        """Store profiles as they are, over those of the same fingerprint (import)."""
        ...

    async def week(self) -> bytes | None:
        """Demand by hour of the week (``scheduler.rhythm``); None: none is known."""
        ...

    async def put_week(self, week: bytes) -> None:
        """Store it, over what was there."""
        ...

    async def trim(self, epoch: int, keep: int, older_than_ms: int) -> int:
        """Drop ended jobs beyond ``keep`` per user or older, once the recorder has them.

        Their file records go with them.
        """
        ...

    async def forget(self, epoch: int, silent_ms: int) -> list[str]:
        """Drop agents, workers and GPUs that have no job and said nothing for that long: their ids."""
        ...


class AgentSide(Protocol):
    """What a worker agent needs."""

    async def report(self, report: Report) -> Reported:
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

    async def trust(self) -> Trust:
        """What forecasts were worth lately, as the leader told."""
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


class Ledger(
    SubmitSide,
    ListSide,
    PlanSide,
    AgentSide,
    WatchSide,
    OverrideSide,
    NoteSide,
    CatalogueSide,
    RecordSide,
    Protocol,
):
    """The whole of it."""

    async def close(self) -> None:
        """Drop all connections."""
        ...
