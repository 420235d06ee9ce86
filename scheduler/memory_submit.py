"""What gateways do with the in-memory ledger: submit, cancel, hold, move, look up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scheduler.bookkeeping import HELD_DETAIL, place, queued_job
from scheduler.ledger_values import (
    CancelReply,
    Duplicate,
    EventKind,
    Order,
    OrderKind,
    OverCap,
    Submitted,
)
from scheduler.memory_base import BooksBase
from scheduler.memory_records import UNSAID, JobRecord, UserRecord, insert, remove
from scheduler.states import Job, JobState, NewJob, WaitReason

_UNKNOWN = CancelReply(None, changed=False)


class BooksSubmit(BooksBase):
    """``SubmitSide`` without its files and profiles, in memory."""

    def submit(
        self, job: NewJob, prompt: bytes, *, max_queued: int | None
    ) -> Submitted | Duplicate | OverCap:
        """Queue a job with its prompt body; ``max_queued`` None: no limit."""
        call = self.new_call()
        user = self.user(job.user)
        known = self.records.get(job.id)
        if known is not None and known.born == call:
            return Submitted(known.job.number, user.unfinished)
        duplicate = self._duplicate(job, user, known)
        if duplicate is not None:
            return duplicate
        if max_queued is not None and user.unfinished >= max_queued:
            return OverCap(user.unfinished, max_queued)
        # A user changes groups only when none of the user's jobs is unfinished: until then
        # all of them are charged to one group, whose turns they stand in.
        group = user.group if user.unfinished else job.group
        user.group = group
        # ComfyUI's own way to the front: the negative count, so the last one in front goes first.
        user.number += 1
        number = -user.number if job.front else user.number
        record = JobRecord(
            queued_job(job, group, number, self.clock_ms()), call, job.idempotency_key or ""
        )
        self.records[job.id] = record
        self.bodies[job.id] = prompt
        user.prompt_ids[job.prompt_id] = (number, job.id)
        if job.idempotency_key:
            user.keys[job.idempotency_key] = (number, job.id, job.prompt_id)
        self.enqueue(record.job, lift=True)
        self.emit_job(EventKind.SUBMITTED, record.job)
        return Submitted(number, user.unfinished)

    def _duplicate(
        self, job: NewJob, user: UserRecord, known: JobRecord | None
    ) -> Duplicate | None:
        if job.idempotency_key and job.idempotency_key in user.keys:
            number, job_id, prompt_id = user.keys[job.idempotency_key]
            return Duplicate(job_id, prompt_id, number, same_key=True)
        if known is not None:
            own = known.job.user == job.user
            prompt_id = known.job.prompt_id if own else job.prompt_id
            return Duplicate(job.id, prompt_id, known.job.number if own else 0, same_key=False)
        if job.prompt_id in user.prompt_ids:
            number, job_id = user.prompt_ids[job.prompt_id]
            return Duplicate(job_id, job.prompt_id, number, same_key=False)
        return None

    def cancel(self, user: str, job_id: str) -> CancelReply:
        """Cancel one of the user's jobs in whatever state it is."""
        call = self.new_call()
        record = self._own(user, job_id)
        if record is None:
            return _UNKNOWN
        job = record.job
        if record.call == call:
            return CancelReply(job.state, changed=True)
        if job.state not in (JobState.QUEUED, JobState.RESERVED, JobState.RUNNING):
            return CancelReply(job.state, changed=False)
        record.call = call
        if job.state is JobState.RUNNING:
            job = record.change(state=JobState.CANCELLING, rev=job.rev + 1)
            self.touch_active(job)
            self.tell(record.agent, Order(OrderKind.CANCEL, job.worker, job.id, job.attempt))
            self.emit_job(EventKind.CANCELLING, job)
            return CancelReply(job.state, changed=True)
        left: dict[str, Any] = {}
        if job.state is JobState.QUEUED:
            self.dequeue(job)
        else:
            left = self.leave_worker(record)
        # ComfyUI keeps no history of a prompt that was cancelled before it ran.
        self.end_job(record, JobState.CANCELLED, listed=False, **left)
        return CancelReply(JobState.CANCELLED, changed=True)

    def hold(self, user: str, job_id: str, *, held: bool) -> CancelReply:
        """Keep one of the user's QUEUED jobs from starting, or let it start again."""
        call = self.new_call()
        record = self._own(user, job_id)
        if record is None:
            return _UNKNOWN
        job = record.job
        if record.call == call:
            return CancelReply(job.state, changed=True)
        if job.state is not JobState.QUEUED or job.held == held:
            return CancelReply(job.state, changed=False)
        record.call = call
        owner = self.user(user)
        if held:
            self.dequeue(job)
            insert(owner.held, place(job), job.id)
            said = {**UNSAID, "wait_reason": WaitReason.HELD, "wait_detail": HELD_DETAIL}
            job = record.change(held=True, rev=job.rev + 1, **said)
        else:
            remove(owner.held, place(job), job.id)
            job = record.change(held=False, rev=job.rev + 1, **UNSAID)
            self.enqueue(job, lift=True)
        self.emit_job(EventKind.HELD if held else EventKind.UNHELD, job)
        return CancelReply(job.state, changed=True)

    def move(self, user: str, job_id: str, *, front: bool) -> CancelReply:
        """Give one of the user's QUEUED jobs the first or the last place of the user's own."""
        call = self.new_call()
        record = self._own(user, job_id)
        if record is None:
            return _UNKNOWN
        job = record.job
        if record.call == call:
            return CancelReply(job.state, changed=True)
        if job.state is not JobState.QUEUED:
            return CancelReply(job.state, changed=False)
        record.call = call
        owner = self.user(user)
        owner.number += 1
        places = owner.held if job.held else owner.queue
        remove(places, place(job), job.id)
        job = record.change(
            number=-owner.number if front else owner.number,
            rev=job.rev + 1,
        )
        insert(places, place(job), job.id)
        self.touch(owner)
        self.emit_job(EventKind.MOVED, job)
        return CancelReply(job.state, changed=True)

    def find(self, user: str, prompt_id: str) -> Job | None:
        """The user's job that its client knows by this id; None too when it was hidden."""
        entry = self.look_up(user).prompt_ids.get(prompt_id)
        return None if entry is None else self.jobs([entry[1]])[0]

    def unfinished(self, user: str, *, first: int | None = None) -> list[Job]:
        """The user's jobs that have not ended: active ones first, then in queue order."""
        owner = self.look_up(user)
        waiting = sorted([*owner.queue, *owner.held] if first is None else owner.queue)[:first]
        ids = [*owner.active, *(job_id for _, job_id in waiting)]
        return [self.records[job_id].job for job_id in ids]

    def ended(self, user: str, *, newest: int | None = None) -> list[Job]:
        """The user's ended jobs that its history shows, oldest first; at most the ``newest`` n."""
        if newest is not None and newest <= 0:
            return []
        ids = list(self.look_up(user).done)
        return [self.records[job_id].job for job_id in (ids if newest is None else ids[-newest:])]

    def prompts(self, job_ids: Sequence[str]) -> list[bytes | None]:
        """Bodies as submitted, in the order asked; None: unknown or trimmed."""
        return [self.bodies.get(job_id) for job_id in job_ids]

    def results(self, job_ids: Sequence[str]) -> list[bytes | None]:
        """Results as settled, in the order asked; None: not ended, cancelled unrun, or trimmed."""
        return [self.outcomes.get(job_id) for job_id in job_ids]

    def hide(self, user: str, job_ids: Sequence[str] | None) -> int:
        """Drop ended jobs from the user's history (None: all). Counts what was dropped."""
        owner = self.look_up(user)
        dropped = 0
        for job_id in list(owner.done) if job_ids is None else job_ids:
            score = owner.done.pop(job_id, None)
            if score is not None:
                owner.hidden[job_id] = score
                owner.prompt_ids.pop(self.records[job_id].job.prompt_id, None)
                owner.changed = f"hidden {job_id} {score}"
                dropped += 1
        return dropped

    def remaining(self, user: str) -> int:
        """The user's unfinished jobs."""
        return self.look_up(user).unfinished

    def _own(self, user: str, job_id: str) -> JobRecord | None:
        record = self.records.get(job_id)
        return record if record is not None and record.job.user == user else None
