"""The in-memory books behind the ``Ledger`` protocol: for one process, gone with it.

Blocking reads wait until a call of this very object changes what they wait for. Times
are the injected clock's; how long a read blocks is the event loop's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from scheduler.catalogue import Catalogue
from scheduler.ledger_lists import JobEntry, JobHead, Listing
from scheduler.ledger_records import RecordBatch, StreamState, ToldRecords
from scheduler.ledger_values import (
    Admitted,
    CancelReply,
    Claimed,
    Duplicate,
    Event,
    FileRecord,
    Grant,
    Order,
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
from scheduler.memory_books import Books
from scheduler.states import FailReason, Job, NewJob, Snapshot, WaitReason, Worker

T = TypeVar("T")
#: One blocking read lasts this long at most, as on Redis.
_LONGEST_BLOCK_S: Final = 5.0


class _Bell:
    """Wakes those who wait for something to change."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def ring(self) -> None:
        """Something may have changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_for(self, look: Callable[[], T], block_s: float) -> T:
        """What ``look`` finds, as soon as it finds something, or when the time is over."""
        try:
            async with asyncio.timeout(min(block_s, _LONGEST_BLOCK_S)):
                while not (found := look()):
                    await self._changed.wait()
                return found
        except TimeoutError:
            return look()


class _Side:
    """What all sides share: the books and the bell."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self._bell = _Bell()

    def _ring(self, reply: T) -> T:
        self._bell.ring()
        return reply


class _Submit(_Side):
    """``SubmitSide`` in memory."""

    async def submit(
        self, job: NewJob, prompt: bytes, *, max_queued: int | None
    ) -> Submitted | Duplicate | OverCap:
        """Queue a job with its prompt body."""
        return self._ring(self.books.submit(job, prompt, max_queued=max_queued))

    async def cancel(self, user: str, job_id: str) -> CancelReply:
        """Cancel one of the user's jobs in whatever state it is."""
        return self._ring(self.books.cancel(user, job_id))

    async def hold(self, user: str, job_id: str, *, held: bool) -> CancelReply:
        """Keep one of the user's QUEUED jobs from starting, or let it start again."""
        return self._ring(self.books.hold(user, job_id, held=held))

    async def move(self, user: str, job_id: str, *, front: bool) -> CancelReply:
        """Give one of the user's QUEUED jobs the first or the last place of the user's own."""
        return self._ring(self.books.move(user, job_id, front=front))

    async def find(self, user: str, prompt_id: str) -> Job | None:
        """The user's job that its client knows by this id, or None."""
        return self.books.find(user, prompt_id)

    async def unfinished(self, user: str, *, first: int | None = None) -> list[Job]:
        """The user's jobs that have not ended: active ones first, then in queue order."""
        return self.books.unfinished(user, first=first)

    async def ended(self, user: str, *, newest: int | None = None) -> list[Job]:
        """The user's ended jobs, oldest first; at most the ``newest`` n."""
        return self.books.ended(user, newest=newest)

    async def prompts(self, job_ids: Sequence[str]) -> list[bytes | None]:
        """Bodies as submitted, in the order asked."""
        return self.books.prompts(job_ids)

    async def results(self, job_ids: Sequence[str]) -> list[bytes | None]:
        """Results as settled, in the order asked."""
        return self.books.results(job_ids)

    async def hide(self, user: str, job_ids: Sequence[str] | None) -> int:
        """Drop ended jobs from the user's history (None: all)."""
        return self.books.hide(user, job_ids)

    async def changed(self, user: str) -> str:
        """Names the present state of the user's jobs."""
        return self.books.changed(user)

    async def stamp(self, user: str) -> None:
        """Give them another name."""
        self.books.stamp(user)

    async def listing(self, user: str) -> Listing:
        """Which jobs the user has, in their orders."""
        return self.books.listing(user)

    async def heads(self, job_ids: Sequence[str]) -> list[JobHead | None]:
        """What never changes of these jobs, in the order asked."""
        return self.books.heads(job_ids)

    async def first_held(self, user: str, count: int) -> list[Job]:
        """The first of the user's jobs that are held, in queue order."""
        return self.books.first_held(user, count)

    async def entry(self, user: str, prompt_id: str) -> JobEntry | None:
        """The user's job that its client knows by this id, or None."""
        return self.books.entry(user, prompt_id)

    async def remaining(self, user: str) -> int:
        """The user's unfinished jobs."""
        return self.books.remaining(user)

    async def file(self, user: str, type: str, subfolder: str, filename: str) -> FileRecord | None:
        """Where one of the user's outputs lies, or None if no such file is theirs."""
        return self.books.file(user, type, subfolder, filename)

    async def files(self, user: str, type: str) -> list[FileRecord]:
        """The user's outputs of one type, newest first."""
        return self.books.files(user, type)

    async def profiles(self, fingerprints: Sequence[str]) -> list[bytes | None]:
        """What was learned of each fingerprint, in the order asked."""
        return self.books.profiles(fingerprints)


class _Plan(_Side):
    """``PlanSide`` in memory."""

    async def lead(self, owner: str, ttl_ms: int) -> int | None:
        """Take or keep the leadership: its epoch, or None while another leads."""
        return self.books.lead(owner, ttl_ms)

    async def resign(self, owner: str, epoch: int) -> None:
        """Give leadership back at once."""
        self.books.resign(owner, epoch)

    async def snapshot(self, window: int) -> Snapshot:
        """What one plan sees."""
        return self.books.snapshot(window)

    async def admit(
        self, epoch: int, job: Job, worker: Worker, grant: Grant, lease_ms: int
    ) -> Admitted | Refusal:
        """QUEUED → RESERVED."""
        return self._ring(self.books.admit(epoch, job, worker, grant, lease_ms))

    async def preempt(self, epoch: int, job: Job) -> bool:
        """Tell a RUNNING job's agent to interrupt it and give it back."""
        return self._ring(self.books.preempt(epoch, job))

    async def refuse(self, epoch: int, job: Job, reason: FailReason, message: str) -> bool:
        """QUEUED → FAILED for a job that can never run."""
        return self._ring(self.books.refuse(epoch, job, reason, message))

    async def explain(self, epoch: int, waits: Mapping[str, tuple[WaitReason, str, str]]) -> None:
        """Write why queued jobs wait."""
        self.books.explain(epoch, waits)

    async def foresee(
        self, epoch: int, starts: Mapping[str, tuple[int, int]], trust: Trust
    ) -> None:
        """Write when queued jobs should start, and what such forecasts are worth."""
        self.books.foresee(epoch, starts, trust)

    async def release(self, epoch: int | None, worker: str) -> bool:
        """READY and idle → RELEASING, and tell its agent."""
        return self._ring(self.books.release(epoch, worker))

    async def reap(self, epoch: int, max_losses: int) -> list[Reaped]:
        """Close every attempt whose lease has passed."""
        return self._ring(self.books.reap(epoch, max_losses))

    async def learn(self, epoch: int, job_id: str, profiles: Mapping[str, bytes]) -> bool:
        """Store what a closed attempt taught; each attempt counts once."""
        return self.books.learn(epoch, job_id, profiles)

    async def all_profiles(self) -> dict[str, bytes]:
        """Everything that was learned, by fingerprint."""
        return self.books.all_profiles()

    async def put_profiles(self, profiles: Mapping[str, bytes]) -> None:
        """Store profiles as they are, over those of the same fingerprint."""
        self.books.put_profiles(profiles)

    async def week(self) -> bytes | None:
        """Demand by hour of the week."""
        return self.books.week

    async def put_week(self, week: bytes) -> None:
        """Store it, over what was there."""
        self.books.week = week

    async def put_catalogue(self, digest: str, document: bytes) -> None:
        """Keep a catalogue."""
        self.books.catalogues[digest] = Catalogue(document)

    async def catalogues(self, digests: Iterable[str]) -> dict[str, Catalogue]:
        """Those of these catalogues that are there, by digest."""
        return self.books.known_catalogues(digests)

    async def trim(self, epoch: int, keep: int, older_than_ms: int) -> int:
        """Drop ended jobs beyond ``keep`` per user or older."""
        return self.books.trim(epoch, keep, older_than_ms)

    async def forget(self, epoch: int, silent_ms: int) -> list[str]:
        """Drop agents, workers and GPUs that said nothing for that long."""
        return self.books.forget(epoch, silent_ms)


class _Agent(_Side):
    """``AgentSide`` in memory."""

    async def report(self, report: Report) -> Reported:
        """Heartbeat; also marks workers that the agent no longer names as gone."""
        reported = self.books.report(report)
        self._bell.ring()
        return reported

    async def next_order(self, agent: str, timeout_s: float) -> Order | None:
        """Wait for the next entry of the agent's inbox; 5 s at most, then None."""
        return await self._bell.wait_for(lambda: self.books.next_order(agent), timeout_s)

    async def held(self, agent: str) -> list[Job]:
        """Active jobs on the agent's workers."""
        return self.books.held(agent)

    async def claim(
        self, job_id: str, attempt: int, worker: str, attempt_uuid: str, sid: str, lease_ms: int
    ) -> Claimed | Refusal:
        """RESERVED → RUNNING."""
        return self._ring(self.books.claim(job_id, attempt, worker, attempt_uuid, sid, lease_ms))

    async def renew(self, job_id: str, attempt: int, lease_ms: int) -> Renewed | Refusal:
        """Prolong the lease."""
        return self.books.renew(job_id, attempt, lease_ms)

    async def settle(self, job_id: str, attempt: int, outcome: Outcome) -> Settled | Refusal:
        """Close the attempt."""
        return self._ring(self.books.settle(job_id, attempt, outcome))

    async def released(self, worker: str, used_bytes: int) -> None:
        """RELEASING → READY."""
        self.books.released(worker, used_bytes)
        self._bell.ring()

    async def name_files(
        self,
        user: str,
        agent: str,
        worker: str,
        files: Sequence[tuple[str, str, str]],
        *,
        job_id: str = "",
    ) -> list[FileRecord]:
        """Give outputs names in the user's space."""
        return self.books.name_files(user, agent, worker, files, job_id=job_id)


class _Watch(_Side):
    """``WatchSide`` in memory."""

    async def last_event_id(self) -> str:
        """Cursor of the newest event, ``"0-0"`` if there is none."""
        return self.books.stream.last_id

    async def events(self, after: str, block_ms: int) -> list[Event]:
        """Events after the cursor; waits up to ``block_ms`` (5 s at most) for the first one."""
        return await self._bell.wait_for(lambda: self.books.events(after), block_ms / 1000)

    async def pool(self) -> Pool:
        """Agents, workers, GPUs and gateways as last reported."""
        return self.books.pool()

    async def counts(self) -> list[UserCounts]:
        """Queued and running jobs of every user who has any."""
        return self.books.counts()

    async def trust(self) -> Trust:
        """What forecasts were worth lately, as the leader told."""
        return self.books.trust

    async def announce_gateway(self, gateway: str, url: str, ttl_ms: int) -> None:
        """Tell agents where a gateway answers."""
        self.books.announce_gateway(gateway, url, ttl_ms)

    async def record_events(self, consumer: str, block_ms: int, count: int) -> list[Event]:
        """Events for the recorder's consumer group; delivered until acknowledged."""

        def look() -> list[Event]:
            return self.books.stream.record(self.books.clock_ms(), consumer, count)

        return await self._bell.wait_for(look, block_ms / 1000)

    async def acknowledge(self, ids: Sequence[str]) -> None:
        """The recorder has stored these events."""
        self.books.stream.acknowledge(ids)

    async def jobs(self, job_ids: Sequence[str]) -> list[Job | None]:
        """Records by id, in the order asked."""
        return self.books.jobs(job_ids)

    async def ping(self) -> bool:
        """Always there."""
        return True

    async def run_id(self) -> str:
        """Names this life of the books: they have one."""
        return self.books.life


class _Records(_Side):
    """``RecordSide`` in memory."""

    async def tell(self, told: ToldRecords) -> bool:
        """Keep records for the recorder; False: they were not taken."""
        return self._ring(self.books.told.tell(self.books.clock_ms(), told))

    async def told(self, consumer: str, block_ms: int, count: int) -> list[RecordBatch]:
        """Batches for the recorder's consumer group; delivered until they are stored."""

        def look() -> list[RecordBatch]:
            return self.books.told.deliver(self.books.clock_ms(), consumer, count)

        return await self._bell.wait_for(look, block_ms / 1000)

    async def stored(self, ids: Sequence[str]) -> None:
        """The recorder has stored these batches."""
        self.books.told.stored(ids)

    async def streams(self) -> list[StreamState]:
        """How far the recorder is behind."""
        return [self.books.stream.state(), self.books.told.state()]


class MemoryLedger(_Submit, _Plan, _Agent, _Watch, _Records):
    """``Ledger`` over ``Books``; for tasks of one event loop."""

    async def overrides(self) -> tuple[int, Mapping[str, str]]:
        """Revision and all overrides: dotted path → JSON text."""
        return self.books.override_rev, dict(self.books.overrides)

    async def override(self, changes: Mapping[str, str | None]) -> int:
        """Set (JSON text) or clear (None) overrides; the new revision."""
        return self._ring(self.books.override(changes))

    async def override_at(self, revision: int, changes: Mapping[str, str | None]) -> int | None:
        """The same if the revision is still the one given; None: it is not."""
        seen = self.books.override_rev == revision
        return self._ring(self.books.override(changes)) if seen else None

    async def secret(self, name: str, candidate: str) -> str:
        """A shared secret made once: the candidate, or what was stored first."""
        return self.books.secrets.setdefault(name, candidate)

    async def note(self, name: str, text: str, ttl_ms: int, *, replace: bool = False) -> str:
        """Keep a text; one that is there already stays unless it is to be replaced."""
        return self.books.note(name, text, ttl_ms, replace=replace)

    async def noted(self, name: str) -> str | None:
        """The text kept under this name, or None."""
        return self.books.noted(name)

    async def close(self) -> None:
        """Nothing to drop."""
