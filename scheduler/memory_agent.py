"""What worker agents do with the in-memory ledger: take orders, claim, renew, settle."""

from __future__ import annotations

from scheduler.ledger_values import (
    Claimed,
    Ending,
    EventKind,
    Order,
    Outcome,
    Refusal,
    Renewed,
    Settled,
)
from scheduler.memory_base import BooksBase
from scheduler.memory_records import JobRecord
from scheduler.states import ACTIVE, FailReason, Job, JobState, WorkerState

_GIVEN_UP = (Ending.LOST, Ending.RETURNED)
#: Reasons of FAILED that an interrupted prompt gives.
_INTERRUPTED = (None, FailReason.LOST, FailReason.HUNG)


class BooksAgent(BooksBase):
    """``AgentSide`` without reports and files, in memory."""

    def next_order(self, agent: str) -> Order | None:
        """Take the next entry of the agent's inbox, if there is one."""
        inbox = self.inboxes.get(agent)
        return inbox.popleft() if inbox else None

    def held(self, agent: str) -> list[Job]:
        """Active jobs on the agent's workers: what a restarted agent adopts."""
        fleet = self.fleets.get(agent)
        workers = fleet.workers if fleet else {}
        jobs = [
            self.records[record.job].job
            for worker_id in workers
            if (record := self.workers.get(worker_id)) and record.job
        ]
        return [job for job in jobs if job.state in ACTIVE and job.worker in workers]

    def claim(
        self, job_id: str, attempt: int, worker: str, attempt_uuid: str, sid: str, lease_ms: int
    ) -> Claimed | Refusal:
        """RESERVED → RUNNING. FENCED: no longer this attempt's to run."""
        record = self.records.get(job_id)
        if record is None:
            return Refusal.UNKNOWN
        job = record.job
        if (job.attempt, job.worker) != (attempt, worker):
            return Refusal.FENCED
        again = job.state is JobState.RUNNING and job.attempt_uuid == attempt_uuid
        if job.state is not JobState.RESERVED and not again:
            return Refusal.FENCED
        now = self.clock_ms()
        self.inflight[job_id] = now + lease_ms
        if not again:
            job = record.change(
                state=JobState.RUNNING,
                rev=job.rev + 1,
                started_ms=now,
                attempt_uuid=attempt_uuid,
                sid=sid,
                begun=True,
            )
            self.touch_active(job)
            self.emit_job(EventKind.CLAIMED, job)
        return Claimed(job, self.bodies[job_id], again)

    def renew(self, job_id: str, attempt: int, lease_ms: int) -> Renewed | Refusal:
        """Prolong the lease; FENCED: interrupt the prompt and drop what it made."""
        record = self.records.get(job_id)
        if record is None:
            return Refusal.UNKNOWN
        job = record.job
        if job.attempt != attempt or job.state not in ACTIVE:
            return Refusal.FENCED
        self.inflight[job_id] = self.clock_ms() + lease_ms
        return Renewed(job.state is JobState.CANCELLING, job.preempting)

    def settle(self, job_id: str, attempt: int, outcome: Outcome) -> Settled | Refusal:
        """Close the attempt. Repeating the same call answers the same."""
        record = self.records.get(job_id)
        if record is None:
            return Refusal.UNKNOWN
        if record.closed == attempt:
            return Settled(record.closed_as)
        job = record.job
        if job.attempt != attempt or job.state not in ACTIVE:
            return Refusal.FENCED
        # An attempt that was never claimed has nothing to show.
        if job.state is JobState.RESERVED and outcome.ending is Ending.SUCCEEDED:
            return Refusal.FENCED
        record.closed = attempt
        record.closed_as = self._close(record, outcome)
        return Settled(record.closed_as)

    def _close(self, record: JobRecord, outcome: Outcome) -> JobState:
        job, ending, reason = record.job, outcome.ending, outcome.reason
        given_up = ending in _GIVEN_UP
        hung = ending is Ending.FAILED and reason is FailReason.HUNG
        # What never ran, or was given up, costs nothing.
        unpaid = given_up or job.state is JobState.RESERVED
        run_seconds = 0.0 if unpaid else outcome.run_seconds
        failed = hung or ending is Ending.LOST
        if not given_up:
            self._keep_residency(job, outcome)
        # Whoever asked to cancel gets that, unless the job ended by itself first.
        by_interrupt = ending is Ending.OOM or (ending is Ending.FAILED and reason in _INTERRUPTED)
        if given_up or (job.state is JobState.CANCELLING and by_interrupt):
            return self.lose(
                record,
                self.max_losses,
                run_seconds=run_seconds,
                failed=failed,
                returned=ending is Ending.RETURNED,
            )
        worker = self.workers.get(job.worker)
        if ending is Ending.SUCCEEDED and worker is not None and worker.job == job.id:
            worker.failures = 0
        left = self.leave_worker(record, run_seconds=run_seconds, failed=failed)
        left |= {
            "peak_bytes": outcome.peak_bytes,
            "clean": outcome.clean,
            "probed": outcome.probed,
        }
        if ending is Ending.OOM and job.trial:
            # we gave it less than it was known to need: that is no fault of its own
            return self.requeue(record, "oom", ooms=job.ooms, need_bytes=job.need_bytes, **left)
        if ending is Ending.OOM and not job.ooms:
            # what was not enough is never enough the second time
            need_bytes = max(outcome.retry_bytes, job.need_bytes)
            return self.requeue(record, "oom", ooms=1, need_bytes=need_bytes, **left)
        left["run_seconds"] = float(outcome.run_seconds)
        if ending is Ending.OOM:
            ending, reason, left["ooms"] = Ending.FAILED, FailReason.OOM, job.ooms + 1
        return self.end_job(
            record,
            JobState(ending.value),
            reason=reason if ending is Ending.FAILED else None,
            result=outcome.result,
            frames=outcome.frames,
            # ComfyUI keeps no history of a prompt that was cancelled before it ran.
            listed=not (ending is Ending.CANCELLED and job.state is JobState.RESERVED),
            **left,
        )

    def _keep_residency(self, job: Job, outcome: Outcome) -> None:
        """The agent's last heartbeat may be older than the peak.

        Until the next one the worker is taken to hold what it held then, lest its
        neighbours be promised the difference; or what it kept, where a probe tells that.
        """
        probed = outcome.probed
        peak = (probed.left_bytes if probed else 0) or outcome.peak_bytes
        worker = self.workers.get(job.worker)
        if peak == 0 or not job.gpu or (worker and worker.state is WorkerState.DOWN):
            return
        used = self.holds_of(job.gpu).used
        if peak > used.get(job.worker, 0):
            used[job.worker] = peak
            self.touch_worker(job.worker)

    def released(self, worker: str, used_bytes: int) -> None:
        """RELEASING → READY: the memory is back, as measured."""
        record = self.workers.get(worker)
        if record is None or record.state is not WorkerState.RELEASING:
            return
        record.state, record.told_ms = WorkerState.READY, 0
        self.holds_of(record.gpu).used[worker] = used_bytes
        self.touch_worker(worker)
        self.emit(EventKind.CAPACITY, worker=worker, gpu=record.gpu, reason="released")
