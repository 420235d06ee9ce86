"""Learns from ended attempts what kinds of workflow need.

Without a probe an attempt's peak is the highest that its *process* held, which
includes what earlier jobs left there: an upper bound on the job's own need. So
only a run that began on an empty worker teaches its bytes as they are; any
other teaches them only where they are lower than what was believed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import structlog

from scheduler.ledger import Event, EventKind, PlanSide, SubmitSide, WatchSide
from scheduler.profile import Profile, from_json, observe, to_json
from scheduler.states import TERMINAL, FailReason, Job, JobState

_log = structlog.get_logger()


class Books(SubmitSide, PlanSide, WatchSide, Protocol):
    """What a teacher needs of the ledger."""


class Teacher:
    """Turns the ends of attempts into profiles. Only the leader's words count."""

    def __init__(self, ledger: Books) -> None:
        self._ledger = ledger

    async def teach(self, epoch: int, events: Iterable[Event]) -> None:
        """Learn from every attempt that ended in these events, once each."""
        ended = list(dict.fromkeys(event.job for event in events if _is_lesson(event)))
        for job in await self._ledger.jobs(ended) if ended else ():
            if job is not None and job.fingerprint:
                await self._learn(epoch, job)

    async def _learn(self, epoch: int, job: Job) -> None:
        names = list(dict.fromkeys((job.fingerprint, *job.parents)))
        blobs = await self._ledger.profiles(names)
        known = {name: _read(name, blob) for name, blob in zip(names, blobs, strict=True)}
        taught = lesson(job, known)
        if taught:
            texts = {name: to_json(profile).encode() for name, profile in taught.items()}
            await self._ledger.learn(epoch, job.id, texts)


def lesson(job: Job, known: dict[str, Profile | None]) -> dict[str, Profile]:
    """What a job's last attempt teaches: the profiles that it changes.

    Args:
        job: after an attempt that succeeded or ran out of memory; of one that has not
            ended, the figures are those of the attempt that ran out of memory.
        known: profiles of its fingerprint and of its parents.
    """
    oom = job.state not in TERMINAL or job.reason is FailReason.OOM
    if not oom and (job.state is not JobState.SUCCEEDED or job.run_seconds <= 0):
        return {}
    if oom and _was_robbed(job):
        return {}
    own = known.get(job.fingerprint)
    peak = job.peak_bytes if job.clean or _is_news(job, own) else 0
    if oom:
        # never below the promise that was not enough, of which the retry asks 1.2 times
        peak = max(job.peak_bytes, int(job.need_bytes / 1.25))
    taught = {job.fingerprint: observe(own, peak, job.run_seconds, oom=oom)}
    if job.clean:
        for parent in job.parents:
            taught[parent] = observe(known.get(parent), peak, job.run_seconds, oom=oom)
    return taught


def _was_robbed(job: Job) -> bool:
    """It ran out of memory far below what it was promised: another process took that."""
    return 2 * job.peak_bytes < job.need_bytes


def _is_news(job: Job, own: Profile | None) -> bool:
    """Whether an upper bound on the need is below what the need was believed to be.

    A bound above the learned peak must not raise it: believed needs carry a margin,
    so each such run would raise the next one's.
    """
    learned = own.peak_bytes if own and own.peak_bytes else job.need_bytes
    return 0 < job.peak_bytes < min(job.need_bytes, learned)


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
