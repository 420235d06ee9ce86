"""Mistakes as somebody could make them, planted in the ledger's books, the loop and the recorder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dashboard.history.recorder import Recorder
from scheduler.ledger import Grant, Outcome, Reaped, Refusal, Renewed, Settled
from scheduler.memory_books import Books
from scheduler.memory_records import JobRecord, UserRecord, WorkerRecord
from scheduler.states import Worker, WorkerState


class NoFence(Books):
    """Whoever settles settles, whatever attempt it was."""

    def settle(self, job_id: str, attempt: int, outcome: Outcome) -> Settled | Refusal:
        record = self.records.get(job_id)
        return super().settle(job_id, record.job.attempt if record else attempt, outcome)


class NoEpoch(Books):
    """A leader that was replaced goes on leading."""

    def is_leader(self, epoch: int) -> bool:
        return True


class NoRoomCheck(Books):
    """What a plan says fits is taken to fit, and whoever was heard once is heard."""

    def _no_place(
        self, found: WorkerRecord | None, worker: Worker, grant: Grant, now: int
    ) -> Refusal | None:
        gone = found is None or found.state is not WorkerState.READY or bool(found.job)
        return Refusal.WORKER_GONE if gone else None


class NoRenewal(Books):
    """A lease ends when the claim said so."""

    def renew(self, job_id: str, attempt: int, lease_ms: int) -> Renewed | Refusal:
        before = self.inflight.get(job_id)
        reply = super().renew(job_id, attempt, lease_ms)
        if before is not None and job_id in self.inflight:
            self.inflight[job_id] = before
        return reply


class PaidTwice(Books):
    """An end that is told twice is paid twice."""

    def settle(self, job_id: str, attempt: int, outcome: Outcome) -> Settled | Refusal:
        record = self.records.get(job_id)
        again = record is not None and record.closed == attempt
        reply = super().settle(job_id, attempt, outcome)
        if again and record is not None and outcome.run_seconds:
            self.users[record.user].charged += 1_000_000
        return reply


class NeverPaidBack(Books):
    """Who was charged more than it cost does not get the rest back."""

    def charge(self, user: UserRecord, group_name: str, of_user: int, of_group: int) -> None:
        super().charge(user, group_name, max(0, of_user), max(0, of_group))


class ReapsAll(Books):
    """Who reaps takes whatever has run for a while, renewed or not."""

    def reap(self, epoch: int, max_losses: int) -> list[Reaped]:
        now = self.clock_ms()
        for job_id in self.inflight:
            if now - self.records[job_id].job.admitted_ms > 20_000:
                self.inflight[job_id] = now
        return super().reap(epoch, max_losses)


class KeepsWorker(Books):
    """A job that is queued again still stands on its worker."""

    def requeue(self, record: JobRecord, why: str, **fields: Any) -> Any:
        worker = self.workers.get(record.job.worker)
        state = super().requeue(record, why, **fields)
        if worker is not None and not worker.job:
            worker.job = record.job.id
        return state


class SubmitsTwice(Books):
    """A repeated idempotency key makes another job."""

    def _duplicate(self, job: Any, user: UserRecord, known: JobRecord | None) -> Any:
        user.keys.pop(job.idempotency_key or "", None)
        return super()._duplicate(job, user, known)


async def never_waits(_resumption: object, _patience_s: float) -> bool:
    """Stands for ``Resumption.is_over``: a restarted server is believed at once."""
    return True


def notices_nothing(_resumption: object) -> None:
    """Stands for ``Resumption.was_away``: an outage is no reason to renew leases later."""


def acknowledges_first(store: Callable[..., Any]) -> Callable[..., Any]:
    """Makes ``Recorder._store`` acknowledge before it stores."""

    async def hasty(self: Recorder, events: Sequence[Any]) -> None:
        await self._ledger.acknowledge([event.id for event in events])
        await store(self, events)

    return hasty
