"""What a posted prompt is booked with: known sizes and earlier runs count."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from scheduler.estimate import CONTEXT_BYTES
from scheduler.profile import (
    Profile,
    add_bytes,
    add_load,
    add_seconds,
    add_whole_oom,
    to_json,
)
from scheduler.redis_ledger import RedisLedger
from scheduler.states import InputFile, Job
from tests.factories import GIB
from tests.integration.gateway_prompt.stage import Stage, a_stage, graph


def definitions() -> dict[str, Any]:
    """Loads a checkpoint, encodes a picture with it."""

    def node(required: dict[str, Any], returns: list[str], *, output: bool = False) -> Any:
        return {
            "input": {"required": required},
            "input_order": {"required": list(required)},
            "output": returns,
            "output_is_list": [False] * len(returns),
            "output_name": returns,
            "python_module": "nodes",
            "output_node": output,
        }

    return {
        "CheckpointLoaderSimple": node(
            {"ckpt_name": [["big.safetensors"], {}]}, ["MODEL", "CLIP", "VAE"]
        ),
        "LoadImage": node({"image": [[], {"image_upload": True}]}, ["IMAGE", "MASK"]),
        "VAEEncode": node({"pixels": ["IMAGE"], "vae": ["VAE"]}, ["LATENT"]),
        "SaveLatent": node(
            {"samples": ["LATENT"], "filename_prefix": ["STRING", {}]}, [], output=True
        ),
    }


ENCODING: dict[str, Any] = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "big.safetensors"}},
    "2": {"class_type": "LoadImage", "inputs": {"image": "mine.png"}},
    "3": {"class_type": "VAEEncode", "inputs": {"pixels": ["2", 0], "vae": ["1", 2]}},
    "4": {"class_type": "SaveLatent", "inputs": {"samples": ["3", 0], "filename_prefix": "x"}},
}


@pytest.fixture
async def loading(ledger: RedisLedger, tmp_path: Path) -> AsyncIterator[Stage]:
    async with a_stage(ledger, tmp_path, known=definitions()) as running:
        await upload(running, 64)
        yield running


async def upload(stage: Stage, side: int) -> None:
    out = io.BytesIO()
    Image.new("L", (side, side)).save(out, "png")
    blob = await stage.services.blobs.store_bytes(out.getvalue())
    file = InputFile(path="mine.png", sha256=blob.sha256, size_bytes=blob.size_bytes)
    await stage.input_files.put("ann", "input", file)


async def booked(stage: Stage, prompt: dict[str, Any]) -> Job:
    return await stage.queue(prompt=prompt)


def sized(stage: Stage, folder: str, size: int) -> None:
    stage.agent.answers |= {
        "experiment/models": [{"name": folder, "folders": ["/somewhere"]}],
        f"experiment/models/{folder}": [{"name": "big.safetensors", "size": size}],
    }


@pytest.mark.parametrize("size", [1 * GIB, 12 * GIB])
async def test_a_models_size_on_the_workers_counts_from_the_first_prompt_on(
    loading: Stage, size: int
) -> None:
    sized(loading, "checkpoints", size)
    job = await booked(loading, ENCODING)
    assert size + CONTEXT_BYTES < job.need_bytes < 1.2 * (size + CONTEXT_BYTES + GIB)


async def test_sizes_are_read_once_for_a_set_of_workers(loading: Stage) -> None:
    sized(loading, "checkpoints", GIB)
    first = await booked(loading, ENCODING)
    loading.agent.answers["experiment/models/checkpoints"] = []
    assert (await booked(loading, ENCODING)).need_bytes == first.need_bytes


async def test_workers_that_tell_no_sizes_hold_nothing_up(loading: Stage) -> None:
    assert (await booked(loading, ENCODING)).need_bytes > 0


async def test_the_size_of_the_users_own_picture_counts(loading: Stage) -> None:
    sized(loading, "checkpoints", GIB)
    small = await booked(loading, ENCODING)
    await upload(loading, 2048)
    large = await booked(loading, ENCODING)
    assert large.need_bytes > small.need_bytes + 2048 * 2048 * 2000


async def test_what_earlier_runs_needed_is_booked(loading: Stage) -> None:
    job = await booked(loading, ENCODING)
    assert len(set(job.parents)) == 3
    assert job.guess.bytes == job.need_bytes
    await loading.settle(await loading.start(job))
    profile = Profile()
    for _ in range(10):
        profile = add_bytes(profile, 0.5, 1, 1.0)
        profile = add_load(add_seconds(profile, 3.0, 1, 9.0), 2.0, 1)
    learned = {job.fingerprint: to_json(profile).encode()}
    assert await loading.ledger.learn(loading.epoch, job.id, learned)
    again = await booked(loading, ENCODING)
    assert again.need_seconds == pytest.approx(3 * job.guess.seconds, rel=0.01)
    assert again.need_bytes == pytest.approx(0.51 * job.guess.bytes, rel=0.001)
    assert again.load_seconds == pytest.approx(2 * job.load_seconds, rel=0.01)
    assert again.guess == job.guess


async def test_a_job_carries_all_that_a_plan_weighs(loading: Stage) -> None:
    sized(loading, "checkpoints", 12 * GIB)
    job = await booked(loading, ENCODING)
    assert job.model_bytes == (12 * GIB,)
    assert job.load_seconds > 0
    assert job.late_seconds > job.need_seconds > 0
    assert job.host_bytes > 12 * GIB
    assert job.curve
    assert job.curve[-1].bytes < job.need_bytes


async def test_what_ran_out_of_memory_twice_on_the_largest_gpu_is_refused(loading: Stage) -> None:
    job = await booked(loading, ENCODING)
    await loading.settle(await loading.start(job))
    pool = await loading.ledger.pool()
    largest = max(gpu.total_bytes for gpu in pool.gpus.values())
    once = add_whole_oom(Profile(), largest / job.guess.bytes)
    proven = {job.fingerprint: to_json(add_whole_oom(once, largest / job.guess.bytes)).encode()}
    assert await loading.ledger.learn(loading.epoch, job.id, proven)
    status, answer = await loading.call("POST", "/prompt", "ann", json={"prompt": ENCODING})
    assert status == 400
    assert answer["error"]["type"] == "infeasible"
    assert answer["error"]["extra_info"]["largest_gpu_bytes"] == largest
    assert "GiB" in answer["error"]["message"]


async def test_a_profile_that_cannot_be_read_is_as_good_as_none(stage: Stage) -> None:
    job = await booked(stage, graph())
    await stage.settle(await stage.start(job))
    assert await stage.ledger.learn(stage.epoch, job.id, {job.fingerprint: b"{"})
    assert (await booked(stage, graph())).need_seconds == job.need_seconds
