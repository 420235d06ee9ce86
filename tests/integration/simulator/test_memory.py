"""A simulated worker takes, keeps and gives back memory as a real one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulator.comfyui.model import CONTEXT_BYTES
from simulator.gpu import SimulatedGpu
from tests.integration.simulator.conftest import StartWorker
from tests.integration.simulator.prompts import Studio, error, stable_diffusion, status

GIB = 2**30


@pytest.fixture
def gpu(tmp_path: Path) -> SimulatedGpu:
    return SimulatedGpu.create(tmp_path / "gpu0", 0, 24 * GIB, "Simulated", "GPU-1")


async def test_an_idle_worker_holds_its_context(
    start_worker: StartWorker, gpu: SimulatedGpu
) -> None:
    client = await start_worker(gpu_dir=gpu.directory)
    assert gpu.read().used_bytes == CONTEXT_BYTES
    await client.close()
    assert gpu.read().used_bytes == 0


async def test_the_peak_of_a_job_stays_until_it_is_freed(
    start_worker: StartWorker, gpu: SimulatedGpu
) -> None:
    studio = await Studio.open(await start_worker(gpu_dir=gpu.directory))
    await studio.run(stable_diffusion("sdxl.safetensors", 1024))
    held = (gpu.read().used_bytes - CONTEXT_BYTES) / GIB
    assert held == pytest.approx(9.19, rel=0.02)
    assert gpu.read().utilisation == 0.0

    await studio.client.post("/free", json={"unload_models": True, "free_memory": True})
    async with asyncio.timeout(30):
        while gpu.read().used_bytes > CONTEXT_BYTES:
            await asyncio.sleep(0.001)
    await studio.run(stable_diffusion("sdxl.safetensors", 1024))
    assert studio.cached() == []


async def test_system_stats_tell_what_torch_holds(
    start_worker: StartWorker, gpu: SimulatedGpu
) -> None:
    studio = await Studio.open(await start_worker(gpu_dir=gpu.directory))
    await studio.run(stable_diffusion())
    gpu.set_foreign(GIB)
    (device,) = (await studio.json("/system_stats"))["devices"]
    state = gpu.read()
    assert device["type"] == "cuda"
    assert device["vram_total"] == 24 * GIB
    assert device["torch_vram_total"] == state.used_bytes - CONTEXT_BYTES - GIB
    assert device["vram_free"] == state.free_bytes + device["torch_vram_free"]
    assert 0 < device["torch_vram_free"] < device["torch_vram_total"]


async def test_a_job_that_does_not_fit_fails_as_torch_says_and_the_next_one_runs(
    start_worker: StartWorker, gpu: SimulatedGpu
) -> None:
    studio = await Studio.open(await start_worker(gpu_dir=gpu.directory))
    gpu.set_foreign(20 * GIB)
    failed = await studio.run(stable_diffusion("sdxl.safetensors", 1024))
    assert status(failed) == "error"
    assert error(failed)["exception_type"] == "torch.OutOfMemoryError"
    assert error(failed)["exception_message"].startswith("Allocation on device ")
    assert error(failed)["node_type"] == "CheckpointLoaderSimple"
    assert gpu.read().used_bytes == 20 * GIB + CONTEXT_BYTES

    gpu.set_foreign(0)
    assert status(await studio.run(stable_diffusion("sdxl.safetensors", 1024))) == "success"


async def test_sampling_too_much_fails_in_the_sampler(
    start_worker: StartWorker, gpu: SimulatedGpu
) -> None:
    studio = await Studio.open(await start_worker(gpu_dir=gpu.directory))
    gpu.set_foreign(19 * GIB)
    failed = await studio.run(stable_diffusion("sd15.safetensors", 1024, batch=16))
    assert error(failed)["node_type"] == "KSampler"


async def test_a_vae_that_does_not_fit_goes_on_in_tiles(
    start_worker: StartWorker, gpu: SimulatedGpu
) -> None:
    studio = await Studio.open(await start_worker(gpu_dir=gpu.directory))
    gpu.set_foreign(14 * GIB)
    entry = await studio.run(stable_diffusion("sdxl.safetensors", 1024, batch=4))
    assert status(entry) == "success"
    assert len(entry["outputs"]["9"]["images"]) == 4
    assert gpu.read().used_bytes < 24 * GIB


async def test_workers_on_one_card_see_each_others_memory(
    start_worker: StartWorker, gpu: SimulatedGpu, tmp_path: Path
) -> None:
    first = await Studio.open(await start_worker(gpu_dir=gpu.directory))
    second = await Studio.open(await start_worker(gpu_dir=gpu.directory, data_dir=tmp_path / "b"))
    await first.run(stable_diffusion("sdxl.safetensors", 1024, batch=4))
    assert status(await second.run(stable_diffusion("sdxl.safetensors", 1024))) == "error"


async def test_a_worker_without_a_card_runs_the_same(start_worker: StartWorker) -> None:
    studio = await Studio.open(await start_worker(gpu_dir=None))
    assert status(await studio.run(stable_diffusion())) == "success"
    (device,) = (await studio.json("/system_stats"))["devices"]
    assert device["type"] == "cpu"
