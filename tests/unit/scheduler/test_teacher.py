"""The teacher reads ended attempts from the ledger and stores what each taught, once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from scheduler.ledger import Event, EventKind, Pool
from scheduler.profile import from_json
from scheduler.states import FailReason, Guess, Job, JobState, MemoryLimit
from scheduler.teacher import Teacher
from tests.factories import GIB, gpu, worker
from tests.unit.scheduler.test_lesson import JOB


class Ledger:
    """As much of a ledger as a teacher asks for."""

    def __init__(self, *jobs: Job) -> None:
        self._jobs = {job.id: job for job in jobs}
        self.stored: dict[str, bytes] = {}
        self.lessons: list[str] = []
        self.limit = MemoryLimit.OBSERVED

    async def jobs(self, job_ids: Sequence[str]) -> list[Job | None]:
        return [self._jobs.get(job_id) for job_id in job_ids]

    async def profiles(self, fingerprints: Sequence[str]) -> list[bytes | None]:
        return [self.stored.get(name) for name in fingerprints]

    async def learn(self, epoch: int, job_id: str, profiles: Mapping[str, bytes]) -> bool:
        self.lessons.append(job_id)
        self.stored |= profiles
        return True

    async def pool(self) -> Pool:
        return Pool(
            now_ms=1,
            gpus={"gpu-0": gpu("gpu-0", total_bytes=int(8.2 * GIB), used_bytes=7 * GIB)},
            workers={"w": worker("w", used_bytes=6 * GIB, limit=self.limit)},
        )


def ended(job: Job, kind: EventKind = EventKind.SETTLED, **fields: Any) -> Event:
    return Event(id="5-0", kind=kind, at_ms=5, job=job.id, state=job.state, **fields)


async def taught(ledger: Ledger, *events: Event) -> Ledger:
    await Teacher(ledger).teach(1, events)  # type: ignore[arg-type]
    return ledger


async def test_each_attempt_is_learned_once() -> None:
    ledger = await taught(Ledger(JOB), ended(JOB), ended(JOB))
    assert ledger.lessons == ["j"]
    own = from_json(ledger.stored["own"])
    assert own is not None
    assert (own.count, own.at_ms) == (1, 5)


async def test_lessons_of_one_round_build_on_one_another() -> None:
    other = dataclasses.replace(JOB, id="k")
    ledger = await taught(Ledger(JOB, other), ended(JOB), ended(other))
    own = from_json(ledger.stored["own"])
    assert own is not None
    assert own.count == 2


async def test_other_events_and_forgotten_jobs_teach_nothing() -> None:
    gone = dataclasses.replace(JOB, id="gone")
    failed = dataclasses.replace(JOB, state=JobState.FAILED, reason=FailReason.NODE_ERROR)
    events = [ended(JOB, EventKind.CLAIMED), ended(gone), ended(failed, reason="node_error")]
    assert (await taught(Ledger(failed), *events)).stored == {}


async def test_a_damaged_profile_is_learned_anew() -> None:
    ledger = Ledger(JOB)
    ledger.stored["own"] = b"{"
    await taught(ledger, ended(JOB))
    assert from_json(ledger.stored["own"]) is not None


async def test_a_whole_gpu_that_was_not_enough_is_known_by_its_size() -> None:
    job = dataclasses.replace(JOB, state=JobState.FAILED, reason=FailReason.OOM)
    job = dataclasses.replace(job, gpu="gpu-0", worker="w")
    ledger = await taught(Ledger(job), ended(job, reason="oom"))
    own = from_json(ledger.stored["own"])
    assert own is not None
    assert own.whole_ooms == 1


@pytest.mark.parametrize(
    ("guessed", "limit", "learned"),
    [
        (4 * GIB, MemoryLimit.OBSERVED, 1),  # 7.2 GiB were left to it
        (5 * GIB, MemoryLimit.OBSERVED, 0),
        (4 * GIB, MemoryLimit.TOLD, 0),
        (4 * GIB, MemoryLimit.ENFORCED, 0),
    ],
)
async def test_a_peak_counts_where_nothing_kept_it_small(
    guessed: int, limit: MemoryLimit, learned: int
) -> None:
    job = dataclasses.replace(
        JOB, gpu="gpu-0", worker="w", guess=Guess(guessed, 6.0, 4.0), peak_bytes=3 * GIB
    )
    ledger = Ledger(job)
    ledger.limit = limit
    own = from_json((await taught(ledger, ended(job))).stored["own"])
    assert own is not None
    assert own.bytes.seen.weight == learned
