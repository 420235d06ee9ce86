"""When the ledger is away, a worker falls silent, or one that is not ours dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from scheduler.ledger import Claimed, LedgerUnavailable, Outcome, Refusal, Renewed, Report, Settled
from scheduler.ledger_values import Reported
from scheduler.redis_ledger import RedisLedger
from scheduler.states import FailReason, JobState, Lane, WorkerState
from tests.integration.worker_agent.bed import (
    SETTINGS,
    Bed,
    SeeingLedger,
    fake_spec,
    make_agent,
    running,
)

#: with batch jobs only: what follows a hung one has all the time that a busy machine takes
IMPATIENT: dict[str, Any] = {**SETTINGS, "scheduler": {"lease": 3.0, "no_progress_batch": 0.5}}
SAVE: dict[str, Any] = {"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": "p"}}}


class MoodyLedger(RedisLedger):
    """The real ledger, out of reach while ``away``."""

    away = False
    refused = 0

    def _look(self) -> None:
        if self.away:
            MoodyLedger.refused += 1
            raise LedgerUnavailable("away")

    async def report(self, report: Report) -> Reported:
        self._look()
        return await super().report(report)

    async def renew(self, job_id: str, attempt: int, lease_ms: int) -> Renewed | Refusal:
        self._look()
        return await super().renew(job_id, attempt, lease_ms)

    async def settle(self, job_id: str, attempt: int, outcome: Outcome) -> Settled | Refusal:
        self._look()
        return await super().settle(job_id, attempt, outcome)


class FellingLedger(SeeingLedger):
    """The real ledger; the worker dies while the agent claims, and before it posts."""

    fell: Callable[[], None]

    async def claim(
        self, job_id: str, attempt: int, worker: str, attempt_uuid: str, sid: str, lease_ms: int
    ) -> Claimed | Refusal:
        self.fell()
        return await super().claim(job_id, attempt, worker, attempt_uuid, sid, lease_ms)


async def test_a_worker_that_dies_before_it_is_sent_the_prompt_is_known_to_be_down_first(
    valkey_url: str, pool_name: str, ledger: RedisLedger, tmp_path: Path
) -> None:
    felling = FellingLedger.connect(valkey_url, pool_name)
    specs = [fake_spec(tmp_path)]
    # it reports changes only every three seconds by itself
    agent = make_agent(felling, tmp_path, specs, settings={**SETTINGS, "agent": {"sample": 3.0}})
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        process = agent._supervisor.process("host-0")
        assert process is not None
        felling.fell = process.kill
        job = await bed.start(SAVE)
        assert (await bed.until_state(job.id, JobState.QUEUED)).losses == 1
        assert felling.seen is WorkerState.DOWN
    await felling.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_worker_frozen_as_it_is_sent_a_prompt_starts_anew_before_it_gets_the_next_one(
    valkey_url: str, pool_name: str, ledger: RedisLedger, tmp_path: Path
) -> None:
    """Woken up it would run the prompt that was given up, beside the next one."""
    felling = FellingLedger.connect(valkey_url, pool_name)
    specs = [fake_spec(tmp_path)]
    agent = make_agent(felling, tmp_path, specs)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        process = agent._supervisor.process("host-0")
        assert process is not None
        frozen = process.pid
        assert frozen is not None

        def freeze() -> None:
            if process.pid == frozen:
                os.kill(frozen, signal.SIGSTOP)

        felling.fell = freeze
        job = await bed.start(SAVE)
        # a minute until the post is given up
        async with asyncio.timeout(120):
            while (await bed.job(job.id)).losses == 0:
                await asyncio.sleep(0.2)
        assert felling.seen is WorkerState.DOWN
        assert process.pid != frozen
    await felling.close()


@pytest.fixture
async def moody(valkey_url: str, pool_name: str) -> AsyncIterator[MoodyLedger]:
    connected = MoodyLedger.connect(valkey_url, pool_name)
    yield connected
    await connected.close()


async def test_a_prompt_outlives_an_outage_of_the_ledger_and_is_settled_after_it(
    moody: MoodyLedger, ledger: RedisLedger, tmp_path: Path, go: Callable[[], None]
) -> None:
    specs = [fake_spec(tmp_path)]
    agent = make_agent(moody, tmp_path, specs)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        job = await bed.start({"1": {"class_type": "Held", "inputs": {}}})
        await bed.running(job.id)
        moody.away = True
        go()

        async def is_done() -> bool:
            return MoodyLedger.refused > 0 and (await bed.seen())["idle"]

        await bed.until(is_done)
        await asyncio.sleep(0.3)
        assert (await bed.job(job.id)).state is JobState.RUNNING
        moody.away = False
        ended = await bed.until_ended(job.id)
        assert ended.state is JobState.SUCCEEDED
        assert ended.attempt == 1
        assert (await bed.seen())["interrupts"] == []


async def test_a_hung_prompt_fails_and_its_worker_starts_anew_and_serves_the_next_job(
    valkey_url: str, pool_name: str, ledger: RedisLedger, tmp_path: Path
) -> None:
    seeing = SeeingLedger.connect(valkey_url, pool_name)
    specs = [fake_spec(tmp_path)]
    agent = make_agent(seeing, tmp_path, specs, settings=IMPATIENT)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        before = bed.pid()
        silent = {"1": {"class_type": "Silent", "inputs": {"seconds": 60}}}
        job = await bed.start(silent, lane=Lane.BATCH)
        ended = await bed.until_ended(job.id)
        assert ended.reason is FailReason.HUNG
        assert ended.attempt == 1
        assert "no sign of life" in (await bed.frames(job.id))[-1][1]["exception_message"]
        # before the job was settled, so that no other could be sent to a process that must go
        assert seeing.seen is WorkerState.DOWN
        await bed.ready()
        assert bed.pid() != before
        following = await bed.start(SAVE)
        assert (await bed.until_ended(following.id)).state is JobState.SUCCEEDED
        assert (await bed.job(job.id)).attempt == 1
    await seeing.close()


async def test_each_lane_has_a_patience_of_its_own(ledger: RedisLedger, tmp_path: Path) -> None:
    rules = {"lease": 3.0, "no_progress": 60.0, "no_progress_batch": 0.5}
    specs = [fake_spec(tmp_path)]
    agent = make_agent(ledger, tmp_path, specs, settings={**SETTINGS, "scheduler": rules})
    silent = {"1": {"class_type": "Silent", "inputs": {"seconds": 1.5}}}
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        job = await bed.start(silent)
        assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
        job = await bed.start(silent, lane=Lane.BATCH)
        assert (await bed.until_ended(job.id)).reason is FailReason.HUNG


@pytest.mark.slow
async def test_a_hung_worker_of_somebody_elses_takes_no_job_until_it_lets_go(
    ledger: RedisLedger, tmp_path: Path
) -> None:
    theirs = fake_spec(tmp_path)
    keeper = make_agent(ledger, tmp_path / "keeper", [theirs])
    process = keeper._supervisor.process(theirs.id)
    assert process is not None
    process.start()
    settings = {**IMPATIENT, "agent": {"sample": 0.05, "workers": [{"url": theirs.url}]}}
    agent = make_agent(ledger, tmp_path, [], settings=settings)
    try:
        async with running(agent):
            bed = Bed(ledger, agent, [theirs])
            await bed.ready()
            job = await bed.start({"1": {"class_type": "Stuck", "inputs": {}}}, lane=Lane.BATCH)
            assert (await bed.until_ended(job.id)).reason is FailReason.HUNG
            assert (await ledger.pool()).workers["host-0"].state is WorkerState.DOWN
            (tmp_path / "worker0").mkdir(exist_ok=True)
            (tmp_path / "worker0/go").touch()
            await bed.ready()
            following = await bed.start(SAVE)
            assert (await bed.until_ended(following.id)).state is JobState.SUCCEEDED
    finally:
        await process.stop()


@pytest.mark.slow
async def test_a_worker_that_ignores_interrupts_is_started_anew(bed: Bed) -> None:
    job = await bed.start({"1": {"class_type": "Deaf", "inputs": {"seconds": 60}}})
    await bed.running(job.id)
    before = bed.pid()
    await bed.ledger.cancel("ann", job.id)
    ended = await bed.until_ended(job.id)
    assert ended.state is JobState.CANCELLED
    await bed.ready()
    assert bed.pid() != before


@pytest.mark.slow
async def test_a_dead_worker_of_somebody_elses_loses_its_job(
    ledger: RedisLedger, tmp_path: Path
) -> None:
    theirs = fake_spec(tmp_path)
    keeper = make_agent(ledger, tmp_path / "keeper", [theirs])
    process = keeper._supervisor.process(theirs.id)
    assert process is not None
    process.start()
    settings = {**SETTINGS, "agent": {"sample": 0.05, "workers": [{"url": theirs.url}]}}
    agent = make_agent(ledger, tmp_path, [], settings=settings)
    try:
        async with running(agent):
            bed = Bed(ledger, agent, [theirs])
            await bed.ready()
            job = await bed.start({"1": {"class_type": "Sleep", "inputs": {"seconds": 60}}})
            await bed.running(job.id)
            process.kill()
            lost = await bed.until_state(job.id, JobState.QUEUED)
            assert lost.losses == 1
            # it comes back under the same address
            process.start()
            await bed.ready()
    finally:
        await process.stop()
