"""What the scheduler does with the in-memory ledger: lead, look, admit, reap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scheduler.bookkeeping import place, refusal_words
from scheduler.catalogue import Catalogue
from scheduler.fleet import PROTOCOL
from scheduler.ledger_values import (
    Admitted,
    EventKind,
    Grant,
    Order,
    OrderKind,
    Reaped,
    Refusal,
    Trust,
)
from scheduler.memory_base import BooksBase
from scheduler.memory_records import UNSAID, JobRecord, UserRecord, WorkerRecord, remove
from scheduler.states import (
    Agent,
    Backlog,
    FailReason,
    Gpu,
    GpuState,
    Job,
    JobState,
    Snapshot,
    WaitReason,
    Worker,
    WorkerState,
)


class BooksPlan(BooksBase):
    """``PlanSide`` without its housekeeping, in memory."""

    def lead(self, owner: str, ttl_ms: int) -> int | None:
        """Take or keep the pool's leadership: its epoch, or None while another leads."""
        now = self.clock_ms()
        if self.owner != owner:
            if self.owner and now < self.leads_until_ms:
                return None
            self.epoch += 1
        self.owner, self.leads_until_ms = owner, now + ttl_ms
        self.protocol = PROTOCOL
        return self.epoch

    def resign(self, owner: str, epoch: int) -> None:
        """Give leadership back at once. The epoch stays: it only grows."""
        if (owner, epoch) == (self.owner, self.epoch):
            self.owner = ""

    def admit(
        self, epoch: int, job: Job, worker: Worker, grant: Grant, lease_ms: int
    ) -> Admitted | Refusal:
        """QUEUED → RESERVED: the one place where memory is promised."""
        call = self.new_call()
        record = self.records.get(job.id)
        if record is not None and record.call == call:
            return Admitted(record.job.attempt)
        if not self.is_leader(epoch):
            return Refusal.STALE_LEADER
        if record is None:
            return Refusal.UNKNOWN
        known = record.job
        if known.state is not JobState.QUEUED or known.rev != job.rev or known.held:
            return Refusal.CONFLICT
        now = self.clock_ms()
        found = self.workers.get(worker.id)
        refusal = self._no_place(found, worker, grant, now)
        if refusal is not None or found is None:
            return refusal or Refusal.WORKER_GONE
        self._reserve(record, found, grant, now, now + lease_ms)
        record.call = call
        self._skip(grant)
        return Admitted(record.job.attempt)

    def _no_place(
        self, found: WorkerRecord | None, worker: Worker, grant: Grant, now: int
    ) -> Refusal | None:
        if (
            found is None
            or found.state is not WorkerState.READY
            or found.gpu != worker.gpu
            or found.agent != worker.agent
            or now - found.heartbeat_ms > self.heartbeat_ms
        ):
            return Refusal.WORKER_GONE
        if found.job:
            return Refusal.CONFLICT
        if not worker.gpu:
            return None
        gpu = self.gpus.get(worker.gpu)
        if (
            gpu is None
            or gpu.state is not GpuState.READY
            or now - gpu.heartbeat_ms > self.heartbeat_ms
        ):
            return Refusal.GPU_GONE
        if grant.capacity_bytes > 0:
            needed = grant.bytes + self.holds_of(worker.gpu).sum(but=worker.id)
            if needed > grant.capacity_bytes:
                return Refusal.NO_FIT
        return None

    def _reserve(
        self, record: JobRecord, worker: WorkerRecord, grant: Grant, now: int, lease: int
    ) -> None:
        job = record.job
        user = self.user(job.user)
        remove(user.queue, place(job), job.id)
        user.active[job.id] = None
        user.last_admitted_ms = now
        self.inflight[job.id] = lease
        worker.job = job.id
        self.holds_of(worker.gpu).reserved[worker.id] = grant.bytes
        record.agent = worker.agent
        job = record.change(
            state=JobState.RESERVED,
            rev=job.rev + 1,
            attempt=job.attempt + 1,
            worker=worker.id,
            gpu=worker.gpu,
            reserved_bytes=grant.bytes,
            admitted_ms=now,
            **UNSAID,
            granted_seconds=float(grant.seconds),
            granted_load_seconds=float(grant.load_seconds),
            trial=grant.trial,
            user_charge=grant.user_charge,
            group_charge=grant.group_charge,
            charge=grant.charge,
        )
        # The clock of an emptied queue is the counter with this charge: as if one more waited.
        self.charge(user, job.group, grant.user_charge, grant.group_charge)
        self.leave_turn(user)
        self.touch(user)
        self.touch_worker(worker.id)
        self.touch_active(job)
        self.tell(worker.agent, Order(OrderKind.RUN, worker.id, job.id, job.attempt))
        self.emit_job(EventKind.ADMITTED, job)

    def _skip(self, grant: Grant) -> None:
        for job_id in grant.passed:
            record = self.records.get(job_id)
            if record is not None and record.waits:
                record.skips += 1
                self.touch(self.users[record.user])

    def preempt(self, epoch: int, job: Job) -> bool:
        """Tell a RUNNING job's agent to interrupt it and give it back."""
        call = self.new_call()
        record = self.records.get(job.id)
        if record is not None and record.call == call:
            return True
        if not self.is_leader(epoch) or record is None:
            return False
        known = record.job
        if known.state is not JobState.RUNNING or known.rev != job.rev:
            return False
        if known.preempting:
            return True
        record.call = call
        known = record.change(preempting=True, rev=known.rev + 1)
        self.touch_active(known)
        order = Order(OrderKind.PREEMPT, known.worker, known.id, known.attempt)
        self.tell(record.agent, order)
        self.emit_job(EventKind.PREEMPTING, known)
        return True

    def refuse(self, epoch: int, job: Job, reason: FailReason, message: str) -> bool:
        """QUEUED → FAILED for a job that can never run. False: it was no longer queued."""
        call = self.new_call()
        record = self.records.get(job.id)
        if record is not None and record.call == call:
            return True
        if not self.is_leader(epoch) or record is None:
            return False
        known = record.job
        if known.state is not JobState.QUEUED or known.rev != job.rev:
            return False
        self.dequeue(known)
        record.call = call
        result, frames = refusal_words(known.prompt_id, reason, message)
        self.end_job(
            record, JobState.FAILED, reason=reason, result=result, frames=frames, listed=True
        )
        return True

    def explain(self, epoch: int, waits: Mapping[str, tuple[WaitReason, str, str]]) -> None:
        """Write why queued jobs wait: reason, a sentence with figures, and what blocks."""
        if not self.is_leader(epoch):
            return
        for job_id, (reason, detail, blocker) in waits.items():
            record = self.records.get(job_id)
            if record is not None and record.waits:
                record.change(wait_reason=reason, wait_detail=detail, wait_blocker=blocker)
                self.touch(self.users[record.user])

    def foresee(self, epoch: int, starts: Mapping[str, tuple[int, int]], trust: Trust) -> None:
        """Write when queued jobs should start, p50 and p90, and what such forecasts are worth."""
        if not self.is_leader(epoch):
            return
        self.trust = trust
        for job_id, (p50_ms, p90_ms) in starts.items():
            record = self.records.get(job_id)
            if record is not None and record.waits:
                record.change(start_p50_ms=p50_ms, start_p90_ms=p90_ms)
                self.touch(self.users[record.user])

    def release(self, epoch: int | None, worker: str) -> bool:
        """READY and idle → RELEASING, and tell its agent. False: it was not idle."""
        call = self.new_call()
        record = self.workers.get(worker)
        if record is not None and record.call == call:
            return True
        if (epoch is not None and not self.is_leader(epoch)) or record is None:
            return False
        if record.state is not WorkerState.READY or record.job:
            return False
        record.state, record.told_ms, record.call = WorkerState.RELEASING, self.clock_ms(), call
        self.touch_worker(worker)
        self.tell(record.agent, Order(OrderKind.RELEASE, worker))
        self.emit(EventKind.CAPACITY, worker=worker, gpu=record.gpu, reason="releasing")
        return True

    def reap(self, epoch: int, max_losses: int) -> list[Reaped]:
        """Close every attempt whose lease has passed."""
        now = self.clock_ms()
        if not self.is_leader(epoch):
            return []
        late = sorted((lease, job_id) for job_id, lease in self.inflight.items() if lease <= now)
        return [Reaped(job_id, self.lose(self.records[job_id], max_losses)) for _, job_id in late]

    # ── looking ──────────────────────────────────────────────────────────────

    def snapshot(self, window: int) -> Snapshot:
        """What one plan sees; only what has changed since the last one is made anew."""
        if window != self.window:
            self.window = window
            for name in self.listed_users:
                self.users[name].backlog = None
        users = self.users
        return Snapshot(
            now_ms=self.clock_ms(),
            gpus=self._gpus(),
            workers=self._workers(),
            backlogs=tuple(
                [
                    user.backlog or self._backlog(user)
                    for user in [users[name] for name in self.listed_users]
                ]
            ),
            active=self._active(),
            agents=self._agents(),
            groups=dict(self.turns.counters),
            catalogues=self.known_catalogues(worker.catalogue for worker in self._workers()),
            life=self.life,
        )

    def known_catalogues(self, digests: Iterable[str]) -> dict[str, Catalogue]:
        """Those of these catalogues that are there, by digest."""
        return {one: self.catalogues[one] for one in set(digests) if one in self.catalogues}

    def _backlog(self, user: UserRecord) -> Backlog:
        records = self.records
        user.backlog = Backlog(
            user=user.name,
            group=user.group,
            queued=len(user.queue),
            running=len(user.active),
            jobs=tuple([records[job_id].job for _, job_id in user.queue[: self.window]]),
            last_admitted_ms=user.last_admitted_ms,
            virtual=user.virtual,
        )
        return user.backlog

    def _workers(self) -> tuple[Worker, ...]:
        if self.seen_workers is None:
            self.seen_workers = tuple(
                [
                    record.noun or self.worker(record)
                    for record in map(self.workers.__getitem__, self.worker_ids)
                ]
            )
        return self.seen_workers

    def worker(self, record: WorkerRecord) -> Worker:
        """A worker as it is now."""
        holds = self.holds_of(record.gpu)
        return record.seen(holds.used.get(record.id, 0), holds.reserved.get(record.id, 0))

    def _gpus(self) -> tuple[Gpu, ...]:
        if self.seen_gpus is None:
            self.seen_gpus = tuple([gpu for _, gpu in sorted(self.gpus.items())])
        return self.seen_gpus

    def _agents(self) -> tuple[Agent, ...]:
        if self.seen_agents is None:
            self.seen_agents = tuple([agent for _, agent in sorted(self.agents.items())])
        return self.seen_agents

    def _active(self) -> Mapping[str, Job]:
        if self.seen_active is None:
            self.seen_active = dict(self.active_jobs)
        return self.seen_active
