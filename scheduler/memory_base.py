"""The state of the in-memory ledger, and what its transitions share (as ``lua/_lib.lua``)."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scheduler.bookkeeping import EVENTS_UNRECORDED, closing_words, cost, event_score, place
from scheduler.catalogue import Catalogue
from scheduler.ledger_values import Event, EventKind, Order, Trust
from scheduler.memory_records import (
    UNSAID,
    GroupRecord,
    Holds,
    JobRecord,
    UserRecord,
    WorkerRecord,
    insert,
    remove,
)
from scheduler.memory_stream import Stream
from scheduler.memory_told import ToldStream
from scheduler.memory_turns import Turns
from scheduler.states import Agent, FailReason, Gpu, Job, JobState, Worker


class Fleet:
    """What an agent is known to have: workers with their GPUs, and GPUs."""

    __slots__ = ("gpus", "workers")

    def __init__(self) -> None:
        self.workers: dict[str, str] = {}
        self.gpus: dict[str, None] = {}


class BooksBase:
    """One pool's books. Not for several threads.

    Args:
        clock_ms: the ledger's own clock, milliseconds since the epoch.
        new_call: names one call; a transition called twice by one name happens once.
        heartbeat_ms: an agent silent for longer gets no new work.
        max_losses: a job that has lost its worker this often ends FAILED(poison).
        events_max: how many events are kept where nobody records.
    """

    def __init__(
        self,
        clock_ms: Callable[[], int],
        new_call: Callable[[], str],
        *,
        heartbeat_ms: int = 10_000,
        max_losses: int = 3,
        events_max: int = EVENTS_UNRECORDED,
    ) -> None:
        #: names this life of the books (``WatchSide.run_id``)
        self.life = "memory"
        self.clock_ms = clock_ms
        self.new_call = new_call
        self.heartbeat_ms = heartbeat_ms
        self.max_losses = max_losses
        self.stream = Stream(events_max)
        self.told = ToldStream()
        self.owner, self.epoch, self.leads_until_ms = "", 0, 0
        self.trust = Trust()
        self.records: dict[str, JobRecord] = {}
        self.bodies: dict[str, bytes] = {}
        self.outcomes: dict[str, bytes] = {}
        self.users: dict[str, UserRecord] = {}
        self.groups: dict[str, GroupRecord] = {}
        #: groups with a turn, and the counter of the last one that had one
        self.turns = Turns()
        self.clock = 0
        #: lease of each active job
        self.inflight: dict[str, int] = {}
        self.agents: dict[str, Agent] = {}
        #: boot of the agent that each one replaced
        self.formers: dict[str, str] = {}
        #: server time at which a rival last claimed a GPU
        self.rival_ms: dict[str, int] = {}
        #: what the leader understands; 0: none has led yet
        self.protocol = 0
        self.fleets: dict[str, Fleet] = {}
        self.workers: dict[str, WorkerRecord] = {}
        self.gpus: dict[str, Gpu] = {}
        #: free bytes that the last word on a GPU told of
        self.announced: dict[str, int] = {}
        self.holds: dict[str, Holds] = {}
        self.inboxes: dict[str, deque[Order]] = {}
        self.learned: dict[str, bytes] = {}
        self.week: bytes | None = None
        self.catalogues: dict[str, Catalogue] = {}
        #: id → until when, URL
        self.gateways: dict[str, tuple[int, str]] = {}
        self.overrides: dict[str, str] = {}
        self.override_rev, self.override_call = 0, ""
        self.secrets: dict[str, str] = {}
        #: name → until when, text
        self.notes: dict[str, tuple[int, str]] = {}
        # what snapshots are made of; None: changed since
        self.listed_users: list[str] = []
        self.seen_workers: tuple[Worker, ...] | None = None
        self.seen_gpus: tuple[Gpu, ...] | None = None
        self.seen_agents: tuple[Agent, ...] | None = None
        self.seen_active: Mapping[str, Job] | None = None
        self.active_jobs: dict[str, Job] = {}
        self.worker_ids: list[str] = []
        self.window = 0

    # ── reading ──────────────────────────────────────────────────────────────

    def is_leader(self, epoch: int) -> bool:
        """Whether the caller's leadership is the newest."""
        return epoch == self.epoch

    def user(self, name: str) -> UserRecord:
        """The user's record, made when it is first asked for."""
        found = self.users.get(name)
        if found is None:
            found = self.users[name] = UserRecord(name)
        return found

    def look_up(self, name: str) -> UserRecord:
        """The user's record to read from; an empty one for who never submitted."""
        return self.users.get(name) or UserRecord(name)

    def group(self, name: str) -> GroupRecord:
        """The group's record, made when it is first asked for."""
        found = self.groups.get(name)
        if found is None:
            found = self.groups[name] = GroupRecord()
        return found

    def holds_of(self, gpu: str) -> Holds:
        """What is held on a GPU."""
        found = self.holds.get(gpu)
        if found is None:
            found = self.holds[gpu] = Holds()
        return found

    def jobs(self, job_ids: Sequence[str]) -> list[Job | None]:
        """Records by id, in the order asked."""
        return [record.job if (record := self.records.get(id_)) else None for id_ in job_ids]

    def tell(self, agent: str, order: Order) -> None:
        """Put an order into an agent's inbox."""
        self.inboxes.setdefault(agent, deque()).append(order)

    def emit(self, kind: EventKind, **fields: Any) -> Event:
        """Append one event."""
        return self.stream.append(self.clock_ms(), kind, **fields)

    def emit_job(
        self,
        kind: EventKind,
        job: Job,
        *,
        state: JobState | None = None,
        reason: str = "",
        frames: bytes = b"[]",
        cost: int = 0,
    ) -> Event:
        """Append the event of a job's transition; ``state`` where the noun has not got it yet."""
        owner = self.users[job.user]
        event = self.emit(
            kind,
            job=job.id,
            user=job.user,
            prompt_id=job.prompt_id,
            client_id=job.client_id,
            state=state or job.state,
            attempt=job.attempt,
            worker=job.worker,
            gpu=job.gpu,
            reason=reason,
            remaining=owner.unfinished,
            frames=frames or b"[]",
            bytes=job.reserved_bytes if kind is EventKind.ADMITTED else 0,
            cost=cost,
            begun=job.begun,
        )
        owner.changed = event.id
        return event

    def touch(self, user: UserRecord) -> None:
        """The user's part of the next snapshot is made anew."""
        user.backlog = None
        shown = bool(user.queue or user.active)
        if shown is not user.listed:
            user.listed = shown
            if shown:
                insort(self.listed_users, user.name)
            else:
                del self.listed_users[bisect_left(self.listed_users, user.name)]

    def touch_active(self, job: Job) -> None:
        """An active job has changed."""
        self.active_jobs[job.id] = job
        self.seen_active = None

    def touch_worker(self, worker_id: str) -> None:
        """The worker's part of the next snapshot is made anew."""
        record = self.workers.get(worker_id)
        if record is not None:
            record.noun = None
        self.seen_workers = None

    # ── turns: who goes first (docs/decisions/0008) ──────────────────────────

    def take_turn(self, user: UserRecord, *, lift: bool) -> None:
        """Give a user with a job that may start a turn.

        ``lift``: newly backlogged, so no less than the least of those who wait (else the
        clock). A job that comes back lifts nobody.
        """
        group = self.group(user.group)
        if user.name in group.turns:
            return
        if lift:
            least = group.turns.least()
            user.virtual = max(user.virtual, group.clock if least is None else least)
        group.turns.put(user.name, user.virtual)
        if user.group not in self.turns:
            if lift:
                least = self.turns.least()
                group.virtual = max(group.virtual, self.clock if least is None else least)
            self.turns.put(user.group, group.virtual)

    def leave_turn(self, user: UserRecord) -> None:
        """Take the turn of a user who has no job left that may start."""
        group = self.group(user.group)
        if user.queue or user.name not in group.turns:
            return
        group.turns.drop(user.name)
        if not group.turns.counters:
            group.clock = max(group.clock, user.virtual)
            self.turns.drop(user.group)
            if not self.turns.counters:
                self.clock = max(self.clock, group.virtual)

    def charge(self, user: UserRecord, group_name: str, of_user: int, of_group: int) -> None:
        """Add to the counters of a user and a group, and keep their turns in step."""
        group = self.group(group_name)
        user.virtual += of_user
        user.charged += of_user
        group.virtual += of_group
        group.charged += of_group
        if user.name in group.turns:
            group.turns.put(user.name, user.virtual)
        if group_name in self.turns:
            self.turns.put(group_name, group.virtual)

    # ── moving jobs ──────────────────────────────────────────────────────────

    def enqueue(self, job: Job, *, lift: bool) -> None:
        """Put a QUEUED job at its place."""
        user = self.user(job.user)
        insert(user.queue, place(job), job.id)
        self.take_turn(user, lift=lift)
        self.touch(user)

    def dequeue(self, job: Job) -> None:
        """Take a QUEUED job from its place, held or not."""
        user = self.user(job.user)
        remove(user.held if job.held else user.queue, place(job), job.id)
        self.leave_turn(user)
        self.touch(user)

    def leave_worker(
        self, record: JobRecord, *, run_seconds: float = 0.0, failed: bool = False
    ) -> dict[str, Any]:
        """Take a job off its worker: lease, reservation, the worker itself; and settle its charge.

        Args:
            record: of an active job.
            run_seconds: what it is charged for; 0: nothing.
            failed: the worker lost it or let it hang.

        Returns:
            What is to be written into the noun, with whatever becomes of the job.
        """
        job = record.job
        user = self.users[job.user]
        self.inflight.pop(job.id, None)
        user.active.pop(job.id, None)
        self.active_jobs.pop(job.id, None)
        self.seen_active = None
        worker = self.workers.get(job.worker)
        if worker is not None and worker.job == job.id:
            worker.job = ""
            self.holds_of(job.gpu).reserved.pop(job.worker, None)
            if failed and worker.failed_job != job.id:
                worker.failures += 1
                worker.failed_ms = self.clock_ms()
                worker.failed_job = job.id
            self.touch_worker(job.worker)
        of_user = cost(job.user_charge, job.granted_seconds, run_seconds)
        of_group = cost(job.group_charge, job.granted_seconds, run_seconds)
        whole = cost(job.charge, job.granted_seconds, run_seconds)
        self.charge(user, job.group, of_user - job.user_charge, of_group - job.group_charge)
        self.touch(user)
        return {
            "user_charge": 0,
            "group_charge": 0,
            "charge": 0,
            "cost": job.cost + whole,
            "user_cost": job.user_cost + of_user,
            "group_cost": job.group_cost + of_group,
            "preempting": False,
            # an earlier attempt's; whoever closes this one writes its own
            "probed": None,
        }

    def end_job(
        self,
        record: JobRecord,
        state: JobState,
        *,
        reason: FailReason | None = None,
        result: bytes = b"",
        frames: bytes = b"",
        listed: bool,
        **fields: Any,
    ) -> JobState:
        """Into a terminal state. The job has left queue and worker already."""
        job = record.job
        why = reason.value if reason else ""
        paid = fields.get("cost", job.cost) - job.cost
        event = self.emit_job(
            EventKind.SETTLED, job, state=state, reason=why, frames=frames, cost=paid
        )
        record.change(
            state=state,
            rev=job.rev + 1,
            reason=reason,
            ended_ms=event.at_ms,
            held=False,
            **UNSAID,
            **fields,
        )
        if result:
            self.outcomes[job.id] = result
        user = self.users[job.user]
        (user.done if listed else user.hidden)[job.id] = event_score(event.id)
        return state

    def requeue(self, record: JobRecord, why: str, **fields: Any) -> JobState:
        """Back to its old place in the queue, nothing of the attempt left but its number."""
        job = record.job
        again = record.change(
            state=JobState.QUEUED,
            rev=job.rev + 1,
            worker="",
            gpu="",
            reserved_bytes=0,
            attempt_uuid="",
            sid="",
            admitted_ms=0,
            started_ms=0,
            granted_seconds=0.0,
            granted_load_seconds=0.0,
            trial=False,
            **fields,
        )
        record.agent = ""
        self.enqueue(again, lift=False)
        # the event still tells where it was
        paid = fields.get("cost", job.cost) - job.cost
        self.emit_job(EventKind.REQUEUED, job, state=JobState.QUEUED, reason=why, cost=paid)
        return JobState.QUEUED

    def lose(
        self,
        record: JobRecord,
        max_losses: int,
        *,
        run_seconds: float = 0.0,
        failed: bool = True,
        returned: bool = False,
    ) -> JobState:
        """End an attempt that nobody will finish.

        Args:
            record: of an active job.
            max_losses: with that many the job ends FAILED(poison).
            run_seconds: what it is charged for.
            failed: it counts against its worker.
            returned: its agent gave it back in order, which counts against nobody.
        """
        job = record.job
        left = self.leave_worker(record, run_seconds=run_seconds, failed=failed)
        words = closing_words(job.prompt_id)
        if job.state is JobState.CANCELLING:
            return self.end_job(
                record,
                JobState.CANCELLED,
                result=words[0],
                frames=words[1],
                listed=True,
                **left,
            )
        if returned and job.preempting:
            return self.requeue(record, "preempted", preemptions=job.preemptions + 1, **left)
        if returned:
            return self.requeue(record, "returned", **left)
        left["losses"] = job.losses + 1
        if job.losses + 1 < max_losses:
            return self.requeue(record, "lost", **left)
        return self.end_job(
            record,
            JobState.FAILED,
            reason=FailReason.POISON,
            result=words[2],
            frames=words[3],
            listed=True,
            **left,
        )
