"""Learns from ended attempts what kinds of workflow need (``scheduler.lesson``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import structlog

from scheduler.ledger import Event, EventKind, PlanSide, SubmitSide, WatchSide
from scheduler.lesson import lesson
from scheduler.profile import Profile, from_json, to_json
from scheduler.states import FailReason, Job, JobState

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
        gpus = await self._gpus() if any(ended[job.id].reason for job in found) else {}
        for job in found:
            await self._learn(epoch, job, ended[job.id].at_ms, gpus)

    async def _gpus(self) -> dict[str, int]:
        pool = await self._ledger.pool()
        return {gpu.id: gpu.total_bytes for gpu in pool.gpus.values()}

    async def _learn(self, epoch: int, job: Job, at_ms: int, gpus: Mapping[str, int]) -> None:
        names = list(dict.fromkeys((job.fingerprint, *job.parents)))
        blobs = await self._ledger.profiles(names)
        known = {name: _read(name, blob) for name, blob in zip(names, blobs, strict=True)}
        taught = lesson(job, known, at_ms, gpus.get(job.gpu, 0))
        if taught:
            texts = {name: to_json(profile).encode() for name, profile in taught.items()}
            await self._ledger.learn(epoch, job.id, texts)


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
