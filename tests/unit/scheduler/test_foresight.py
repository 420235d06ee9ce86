"""The leader's forecasts, from its snapshot to the ledger and back as experience."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from scheduler.foresight import Foresight
from scheduler.ledger import LedgerUnavailable, Trust
from scheduler.memory_books import Books
from scheduler.memory_ledger import MemoryLedger
from scheduler.plan_config import PlanConfig
from scheduler.states import Job
from tests.factories import GIB, gpu, grant, new_job, report, worker
from tests.pools import config

NOW_MS = 1_000_000
MODELS = ("checkpoints/a.safetensors",)


class AwayLedger(MemoryLedger):
    """Cannot be told of forecasts."""

    async def foresee(self, epoch: int, starts: object, trust: Trust) -> None:
        raise LedgerUnavailable("gone")


@dataclass
class Stage:
    """One warm worker, a leader, and a clock that stands still unless it is moved."""

    now_ms: int = NOW_MS
    ledger: MemoryLedger = field(init=False)
    foresight: Foresight = field(init=False)
    epoch: int = 0
    rules: PlanConfig = field(default_factory=config)

    def __post_init__(self) -> None:
        calls = iter(range(10**9))
        self.books = Books(lambda: self.now_ms, lambda: str(next(calls)))
        self.ledger = MemoryLedger(self.books)
        self.foresight = Foresight(self.ledger, lambda: self.now_ms / 1000)

    async def open(self) -> Stage:
        await self.heartbeat()
        self.epoch = await self.ledger.lead("leader", 10**9) or 0
        return self

    async def heartbeat(self) -> None:
        warm = worker(used_bytes=4 * GIB, models=MODELS)
        await self.ledger.report(report(workers=[warm], gpus=[gpu(used_bytes=4 * GIB)]))

    async def submit(self, count: int) -> list[str]:
        jobs = [new_job(need_seconds=10.0, late_seconds=10.0, models=MODELS) for _ in range(count)]
        for job in jobs:
            await self.ledger.submit(job, b"{}", max_queued=None)
        return [job.id for job in jobs]

    async def look(self) -> None:
        self.foresight.look(self.epoch, await self.ledger.snapshot(100), self.rules)
        for _ in range(500):
            await asyncio.sleep(0)

    async def job(self, job_id: str) -> Job:
        (job,) = await self.ledger.jobs([job_id])
        assert job is not None
        return job

    async def starts(self, *job_ids: str) -> list[int]:
        """p50 of each, ms from the beginning; -1: none."""
        jobs = [await self.job(job_id) for job_id in job_ids]
        return [job.start_p50_ms - NOW_MS if job.start_p50_ms else -1 for job in jobs]

    async def admit(self, job_id: str) -> None:
        job, pool = await self.job(job_id), await self.ledger.pool()
        await self.ledger.admit(self.epoch, job, pool.workers["host-0"], grant(), 10**9)
        self.foresight.admitted(job_id, self.now_ms)


@pytest.fixture
async def stage() -> Stage:
    return await Stage().open()


async def test_waiting_jobs_are_told_when_they_should_start(stage: Stage) -> None:
    jobs = await stage.submit(3)
    await stage.look()
    assert await stage.starts(*jobs) == [-1, 10_000, 20_000]  # the first starts at once


async def test_the_next_forecast_is_made_seconds_later(stage: Stage) -> None:
    first, second = await stage.submit(2)
    await stage.look()
    (third,) = await stage.submit(1)
    stage.now_ms += 1_900
    await stage.look()
    assert await stage.starts(second, third) == [10_000, -1]
    stage.now_ms += 200
    await stage.heartbeat()
    await stage.look()
    assert await stage.starts(third) == [22_100]
    assert await stage.starts(first) == [-1]


async def test_a_forecast_that_hardly_moved_is_not_told_again(stage: Stage) -> None:
    jobs = await stage.submit(30)
    await stage.look()
    stage.now_ms += 2_100
    await stage.heartbeat()
    await stage.look()
    starts = await stage.starts(*jobs)
    assert starts[1] == 12_100  # one that is near is told as soon as it moves
    assert starts[29] == 290_000


async def test_a_job_that_was_held_is_told_again(stage: Stage) -> None:
    _, second = await stage.submit(2)
    await stage.look()
    for held in (True, False):
        await stage.ledger.hold("ann", second, held=held)
    assert await stage.starts(second) == [-1]
    stage.now_ms += 2_000
    await stage.heartbeat()
    await stage.look()
    assert await stage.starts(second) == [12_000]


async def test_forecasts_are_judged_when_jobs_start(stage: Stage) -> None:
    jobs = await stage.submit(4)
    await stage.look()
    stage.now_ms += 12_000  # the second should have started after 10 s
    await stage.heartbeat()
    await stage.admit(jobs[1])
    await stage.look()
    trust = await stage.ledger.trust()
    assert (trust.scored, trust.coverage) == (1, 0.0)


async def test_a_late_job_is_judged_when_its_p90_passes_and_only_once(stage: Stage) -> None:
    jobs = await stage.submit(2)
    await stage.look()
    for _ in range(2):
        stage.now_ms += 20_000
        await stage.heartbeat()
        await stage.look()
        trust = await stage.ledger.trust()
        assert (trust.scored, trust.coverage) == (1, 0.0)
    await stage.admit(jobs[1])
    stage.now_ms += 2_000
    await stage.heartbeat()
    await stage.look()
    assert (await stage.ledger.trust()).scored == 1


async def test_a_new_leader_goes_on_with_what_the_last_one_had_learned(stage: Stage) -> None:
    learned = Trust(p50_factor=2.0, p90_factor=3.0, coverage=0.9, scored=200)
    await stage.ledger.foresee(stage.epoch, {}, learned)
    jobs = await stage.submit(2)
    await stage.look()
    assert await stage.starts(jobs[1]) == [21_000]
    assert await stage.ledger.trust() == learned


async def test_jobs_that_started_at_once_teach_nothing(stage: Stage) -> None:
    first, _ = await stage.submit(2)
    await stage.look()
    await stage.admit(first)
    stage.now_ms += 2_000
    await stage.look()
    assert (await stage.ledger.trust()).scored == 0


async def test_a_ledger_that_is_away_is_told_of_by_the_next_look() -> None:
    stage = await Stage().open()
    stage.foresight = Foresight(AwayLedger(stage.books), lambda: stage.now_ms / 1000)
    await stage.submit(2)
    await stage.look()
    with pytest.raises(LedgerUnavailable, match="gone"):
        await stage.look()


async def test_closing_breaks_a_forecast_off(stage: Stage) -> None:
    jobs = await stage.submit(50)
    stage.foresight.look(stage.epoch, await stage.ledger.snapshot(100), stage.rules)
    await asyncio.sleep(0)
    await stage.foresight.close()
    await stage.look()
    assert (await stage.starts(*jobs))[1] == 10_000
