"""Learns from ended attempts what kinds of workflow need (``scheduler.lesson``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog

from scheduler.ledger import Event, EventKind, PlanSide, Pool, SubmitSide, WatchSide
from scheduler.lesson import Place, lesson
from scheduler.profile import Profile, from_json, to_json
from scheduler.states import FailReason, Job, JobState, MemoryLimit

_log = structlog.get_logger()


class Books(SubmitSide, PlanSide, WatchSide, Protocol):
    """What a teacher needs of the ledger."""


class Teacher:
    """Turns the ends of attempts into profiles. Only the leader's words count."""

    def __init__(self, ledger: Books) -> None:
        self._ledger = ledger

    async def teach(self, epoch: int, events: Iterable[Event]) -> None:
        """Learn from every attempt that ended in these events, once each."""
        ended = {event.job: event for event in events if _is_lesson(event)}
        jobs = await self._ledger.jobs(list(ended)) if ended else []
        found = [job for job in jobs if job is not None and job.fingerprint]
        if not found:
            return
        pool = await self._ledger.pool()
        for job in found:
            place = _place(job, pool)
            await self._learn(epoch, job, ended[job.id].at_ms, place)

    async def known(self, kinds: Sequence[str]) -> dict[str, Profile | None]:
        """What is known of these kinds."""
        blobs = await self._ledger.profiles(kinds)
        return {name: _read(name, blob) for name, blob in zip(kinds, blobs, strict=True)}

    async def _learn(self, epoch: int, job: Job, at_ms: int, place: Place) -> None:
        known = await self.known(list(dict.fromkeys((job.fingerprint, *job.parents))))
        taught = lesson(job, known, at_ms, place)
        if taught:
            texts = {name: to_json(profile).encode() for name, profile in taught.items()}
            await self._ledger.learn(epoch, job.id, texts)


def _place(job: Job, pool: Pool) -> Place:
    """Where it ran, as last reported: an attempt that has just ended left it much the same."""
    gpu, worker = pool.gpus.get(job.gpu), pool.workers.get(job.worker)
    limited = worker is not None and worker.limit is not MemoryLimit.OBSERVED
    if gpu is None or worker is None:
        return Place(limited=limited)
    others = max(0, gpu.used_bytes - worker.used_bytes)
    return Place(gpu.total_bytes, max(1, gpu.total_bytes - others), limited)


def _is_lesson(event: Event) -> bool:
    if event.kind is EventKind.REQUEUED:
        return event.reason == FailReason.OOM
    if event.kind is not EventKind.SETTLED:
        return False
    return event.state is JobState.SUCCEEDED or event.reason == FailReason.OOM


def _read(fingerprint: str, blob: bytes | None) -> Profile | None:
    try:
        return None if blob is None else from_json(blob)
    except ValueError as error:
        _log.warning("profile_damaged", fingerprint=fingerprint, detail=str(error))
        return None
