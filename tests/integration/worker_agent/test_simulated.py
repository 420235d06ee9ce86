"""The agent with workers on simulated GPUs: what it measures, and what it does about it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config.probe import Probe
from scheduler.redis_ledger import RedisLedger
from scheduler.states import FailReason, Gpu, GpuState, JobState, MemoryLimit, MemorySource
from simulator.comfyui.model import CONTEXT_BYTES
from simulator.gpu import SimulatedGpu
from simulator.launch import prepare_gpus, worker_command
from simulator.nvml import FakeNvml
from simulator.spec import SimulationSpec
from tests.clients import sampling_prompt
from tests.integration.worker_agent.bed import (
    AGENT,
    SETTINGS,
    TOKEN,
    Bed,
    free_port,
    make_agent,
    running,
)
from worker_agent.launch import LaunchSpec
from worker_agent.probe_pack import probe_environment

GIB = 2**30
SPEC = SimulationSpec(gpus=1, vram_bytes=8 * GIB, workers=1, speed=50)
ROOT = Path(__file__).parents[3]


def simulated_spec(
    folder: Path, gpu_dir: Path | None, uuid: str | None, *, probe: bool = False
) -> LaunchSpec:
    port = free_port()
    told = probe_environment(f"{AGENT}-0", Probe(), TOKEN) if probe else {}
    return LaunchSpec(
        id=f"{AGENT}-0",
        command=tuple(worker_command(sys.executable, port, gpu_dir, folder / "data", SPEC)),
        env={**os.environ, "PYTHONPATH": str(ROOT), **told},
        url=f"http://127.0.0.1:{port}",
        gpu_uuid=uuid,
        log_path=folder / "worker.log",
    )


@dataclass
class Card:
    bed: Bed
    gpu: SimulatedGpu

    async def seen(self) -> Gpu:
        return (await self.bed.ledger.pool()).gpus[self.gpu.uuid]

    async def used(self) -> int:
        return (await self.bed.ledger.pool()).workers["host-0"].used_bytes


@pytest.fixture
async def card(ledger: RedisLedger, tmp_path: Path) -> AsyncIterator[Card]:
    """One worker on one simulated GPU of 8 GiB."""
    (gpu_dir,) = prepare_gpus(SPEC, tmp_path / "gpus")
    gpu = SimulatedGpu.open(gpu_dir)
    specs = [simulated_spec(tmp_path, gpu_dir, gpu.uuid)]
    agent = make_agent(ledger, tmp_path, specs, FakeNvml([gpu_dir]))
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        yield Card(bed, gpu)


async def test_peak_and_residency_of_a_prompt_are_measured(card: Card) -> None:
    job = await card.bed.start(sampling_prompt())
    ended = await card.bed.until_ended(job.id)
    assert ended.state is JobState.SUCCEEDED
    # SD 1.5 at 512²: 2.72 GiB reserved and a context of 0.8 GiB on a real card
    assert 3 * GIB < ended.peak_bytes < 6 * GIB
    assert await card.used() > 2 * GIB
    seen = await card.seen()
    assert seen.memory_source is MemorySource.NVML
    assert seen.foreign_bytes < GIB // 2


async def test_the_end_of_a_load_is_told_while_the_job_runs(card: Card) -> None:
    bed = card.bed

    async def told(cursor: str) -> list[str]:
        events = await bed.ledger.events(cursor, 0)
        return [one.reason if one.kind == "capacity" else one.kind for one in events]

    async def is_told() -> bool:
        return "loaded" in await told(begun)

    begun = await bed.ledger.last_event_id()
    job = await bed.submit(sampling_prompt(steps=10_000))
    await bed.admit(job.id, load_s=4.0)
    await bed.until(is_told)
    await bed.ledger.cancel("ann", job.id)
    await bed.until_ended(job.id)
    cold = await told(begun)
    assert cold.index("claimed") < cold.index("loaded") < cold.index("settled")
    begun = await bed.ledger.last_event_id()
    job = await bed.submit(sampling_prompt(steps=20))
    await bed.admit(job.id, load_s=0.0)
    assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
    assert "loaded" not in await told(begun)


async def test_host_memory_is_reported(card: Card) -> None:
    async def is_told() -> bool:
        pool = await card.bed.ledger.pool()
        agent, worker = pool.agents[AGENT], pool.workers["host-0"]
        return agent.host_total_bytes > agent.host_available_bytes > 0 < worker.host_used_bytes

    await card.bed.until(is_told)
    worker = (await card.bed.ledger.pool()).workers["host-0"]
    # nothing keeps a simulated worker within what it was promised
    assert worker.limit is MemoryLimit.OBSERVED


async def test_a_release_gives_the_memory_back_before_it_says_so(card: Card) -> None:
    job = await card.bed.start(sampling_prompt())
    await card.bed.until_ended(job.id)
    epoch = await card.bed.ledger.lead("test", 60_000)
    assert epoch is not None
    assert await card.bed.ledger.release(epoch, "host-0")
    await card.bed.ready()
    assert card.gpu.read().used_bytes < 2 * GIB
    assert await card.used() < 2 * GIB


async def test_only_what_runs_on_an_empty_worker_is_called_clean(card: Card) -> None:
    ledger = card.bed.ledger

    async def clean() -> bool:
        job = await card.bed.start(sampling_prompt())
        return (await card.bed.until_ended(job.id)).clean

    assert await clean()
    assert not await clean()
    epoch = await ledger.lead("test", 60_000)
    assert epoch is not None
    assert await ledger.release(epoch, "host-0")
    await card.bed.ready()
    assert await clean()
    pid = card.bed.pid()
    os.kill(pid, signal.SIGKILL)

    async def is_back() -> bool:
        process = card.bed.agent._supervisor.process("host-0")
        return process is not None and process.pid not in (None, pid)

    await card.bed.until(is_back)
    assert await clean()


async def test_another_program_on_the_card_is_seen_as_foreign_and_leaves_again(card: Card) -> None:
    card.gpu.set_foreign(3 * GIB)

    async def is_seen() -> bool:
        return (await card.seen()).foreign_bytes >= 3 * GIB

    await card.bed.until(is_seen)
    card.gpu.set_foreign(0)

    async def has_left() -> bool:
        return (await card.seen()).foreign_bytes < GIB

    await card.bed.until(has_left)


async def test_out_of_memory_goes_back_to_the_queue_with_a_larger_need(card: Card) -> None:
    card.gpu.set_foreign(6 * GIB)
    job = await card.bed.start(sampling_prompt())
    queued = await card.bed.until_state(job.id, JobState.QUEUED, JobState.FAILED)
    assert queued.state is JobState.QUEUED
    assert queued.ooms == 1
    assert queued.need_bytes > 0
    card.gpu.set_foreign(0)
    await card.bed.admit(job.id)
    assert (await card.bed.until_ended(job.id)).state is JobState.SUCCEEDED


async def test_a_card_that_cannot_be_read_is_suspect(card: Card) -> None:
    facts = card.gpu.directory / "gpu.json"
    moved = facts.rename(facts.with_suffix(".away"))

    async def is_suspect() -> bool:
        return (await card.seen()).state is GpuState.SUSPECT

    await card.bed.until(is_suspect)
    moved.rename(facts)

    async def is_back() -> bool:
        return (await card.seen()).state is GpuState.READY

    await card.bed.until(is_back)


async def test_a_real_validation_error_fails_the_job_in_the_users_words(card: Card) -> None:
    job = await card.bed.start(sampling_prompt(checkpoint="nowhere.safetensors"))
    ended = await card.bed.until_ended(job.id)
    assert ended.reason is FailReason.NODE_ERROR
    assert "nowhere.safetensors" in (await card.bed.frames(job.id))[0][1]["exception_message"]


@pytest.mark.parametrize("named", [True, False])
async def test_an_existing_worker_is_driven_on_the_gpu_it_computes_on(
    ledger: RedisLedger, tmp_path: Path, named: bool
) -> None:
    (gpu_dir,) = prepare_gpus(SPEC, tmp_path / "gpus")
    uuid = SimulatedGpu.open(gpu_dir).uuid
    # the other agent stands for whoever runs that ComfyUI
    theirs = simulated_spec(tmp_path, gpu_dir, uuid)
    keeper = make_agent(ledger, tmp_path / "keeper", [theirs], None)
    worker: dict[str, Any] = {"url": theirs.url} | ({"gpu": 0} if named else {})
    settings = {**SETTINGS, "agent": {"sample": 0.05, "workers": [worker]}}
    agent = make_agent(ledger, tmp_path, [], FakeNvml([gpu_dir]), settings)
    process = keeper._supervisor.process(theirs.id)
    assert process is not None
    process.start()
    try:
        async with running(agent):
            bed = Bed(ledger, agent, [theirs])
            await bed.ready()
            found = (await ledger.pool()).workers["host-0"]
            assert found.gpu == uuid
            job = await bed.start(sampling_prompt())
            assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
            pid = process.pid
        assert process.pid == pid
    finally:
        await process.stop()


async def test_a_worker_on_the_cpu_has_no_gpu(ledger: RedisLedger, tmp_path: Path) -> None:
    specs = [simulated_spec(tmp_path, None, None)]
    agent = make_agent(ledger, tmp_path, specs, None)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        pool = await ledger.pool()
        assert pool.workers["host-0"].gpu == ""
        assert pool.gpus == {}
        job = await bed.start(sampling_prompt(size=64))
        ended = await bed.until_ended(job.id)
        assert ended.state is JobState.SUCCEEDED
        assert ended.peak_bytes == 0


@pytest.fixture
async def probed(ledger: RedisLedger, tmp_path: Path) -> AsyncIterator[Card]:
    """One worker with a probe on one simulated GPU of 8 GiB."""
    (gpu_dir,) = prepare_gpus(SPEC, tmp_path / "gpus")
    gpu = SimulatedGpu.open(gpu_dir)
    specs = [simulated_spec(tmp_path, gpu_dir, gpu.uuid, probe=True)]
    agent = make_agent(ledger, tmp_path, specs, FakeNvml([gpu_dir]))
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        yield Card(bed, gpu)


async def test_a_worker_with_a_probe_keeps_only_what_its_models_take(probed: Card) -> None:
    prompt = sampling_prompt(size=512)
    job = await probed.bed.submit(prompt, models=("checkpoints/sd15.safetensors",))
    await probed.bed.admit(job.id, bytes_=6 * GIB)
    ended = await probed.bed.until_ended(job.id)
    assert ended.clean
    assert ended.probed is not None
    # 2.72 GiB reserved on a real card; then weights of 1.99
    assert ended.peak_bytes == pytest.approx(CONTEXT_BYTES + 2.72 * GIB, rel=0.03)
    assert ended.probed.needed_bytes <= ended.peak_bytes
    assert ended.probed.left_bytes == pytest.approx(CONTEXT_BYTES + 1.99 * GIB, rel=0.01)
    assert await probed.used() == ended.probed.left_bytes
    assert ended.probed.limit_bytes == 6 * GIB
    assert (ended.probed.loads, ended.probed.fallback, ended.probed.partial) == (1, "", False)


async def test_a_job_is_kept_within_what_it_was_promised(probed: Card) -> None:
    job = await probed.bed.submit(sampling_prompt(size=1024))
    await probed.bed.admit(job.id, bytes_=CONTEXT_BYTES + int(2.05 * GIB))
    ended = await probed.bed.until_ended(job.id)
    assert ended.state is JobState.SUCCEEDED
    assert ended.peak_bytes <= CONTEXT_BYTES + 2.05 * GIB
    assert ended.probed is not None
    assert ended.probed.squeezed
