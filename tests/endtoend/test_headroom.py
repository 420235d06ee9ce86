"""Jobs that do not fit wait, say so, and start when the memory is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp

from scheduler.redis_ledger import RedisLedger
from tests.clients import Client, sampling_prompt
from tests.endtoend.conftest import ADA, ANN, BOB, KEYS
from tests.endtoend.stack import Stack


def big(seed: int, steps: int) -> dict[str, Any]:
    """Needs about 18 GiB: two of them do not fit on a card of 24."""
    return sampling_prompt(seed, checkpoint="sdxl.safetensors", size=1024, batch=4, steps=steps)


async def rows(ada: Client) -> dict[str, dict[str, Any]]:
    overview = await ada.get("/dashboard/api/v1/overview")
    return {row["prompt_id"]: row for row in [*overview["running"], *overview["waiting"]]}


async def test_a_job_without_headroom_waits_with_its_reason_and_then_runs(
    start: Callable[..., Stack], http: aiohttp.ClientSession
) -> None:
    stack = start("--simulate", "gpus=1,vram=24GiB,workers=2,speed=5")
    ann = Client(http, stack.url, {"Authorization": f"Bearer {ANN}"})
    bob = Client(http, stack.url, {"Authorization": f"Bearer {BOB}"})
    ada = Client(http, stack.url, {"Authorization": f"Bearer {ADA}"})
    # long enough that the other one is told why it waits on a busy machine, too
    first = await ann.queue(big(1, steps=300))
    async with asyncio.timeout(60):
        while not (await ann.get("/queue"))["queue_running"]:
            await asyncio.sleep(0.05)
    second = await bob.queue(big(2, steps=1))
    async with asyncio.timeout(60):
        while (await rows(ada)).get(second, {}).get("wait_reason") != "no_headroom":
            await asyncio.sleep(0.05)
    assert (await bob.get("/queue"))["queue_pending"][0][1] == second
    assert "GiB" in (await rows(ada))[second]["wait_detail"]
    assert (await ann.ended(first, 60))["status"]["status_str"] == "success"
    assert (await bob.ended(second, 60))["status"]["status_str"] == "success"


async def test_simulated_workers_need_nothing_of_this_machines_memory(
    start: Callable[..., Stack],
) -> None:
    stack = start("--simulate", "gpus=1,vram=8GiB,workers=1,speed=50")
    ledger = RedisLedger.connect(stack.state()["redis"], "default")
    async with asyncio.timeout(60):
        while not (agents := (await ledger.pool()).agents):
            await asyncio.sleep(0.05)
    assert [agent.host_total_bytes for agent in agents.values()] == [0]
    await ledger.close()


def vae_round_trip() -> dict[str, Any]:
    """A picture of 3840 × 2160 through SDXL's VAE: 27.7 GiB if it may, and less in tiles."""
    loader = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sdxl.safetensors"}}
    picture = {"width": 3840, "height": 2160, "batch_size": 1, "color": 0}
    return {
        "1": loader,
        "2": {"class_type": "EmptyImage", "inputs": picture},
        "3": {"class_type": "VAEEncode", "inputs": {"pixels": ["2", 0], "vae": ["1", 2]}},
        "4": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["1", 2]}},
        "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "x"}},
    }


async def test_where_nothing_keeps_it_in_less_one_larger_than_every_gpu_has_a_whole_one(
    start: Callable[..., Stack], http: aiohttp.ClientSession
) -> None:
    observed = KEYS + "probe: {limit: observed}\n"
    stack = start("--simulate", "gpus=1,vram=24GiB,workers=2,speed=1", config=observed)
    ann = Client(http, stack.url, {"Authorization": f"Bearer {ANN}"})
    ada = Client(http, stack.url, {"Authorization": f"Bearer {ADA}"})
    prompt_id = await ann.queue(vae_round_trip())
    async with asyncio.timeout(60):
        while (row := (await rows(ada)).get(prompt_id, {})).get("state") != "RUNNING":
            await asyncio.sleep(0.02)
    assert row["gpu"]
    small = await ann.queue(sampling_prompt(4, steps=1))
    entry = await ann.ended(prompt_id, 60)
    assert entry["status"]["status_str"] == "success"
    begun = dict(entry["status"]["messages"])
    after = dict((await ann.ended(small))["status"]["messages"])
    assert after["execution_start"]["timestamp"] >= begun["execution_success"]["timestamp"]


async def test_one_larger_than_every_gpu_that_is_kept_in_less_leaves_room_for_another(
    start: Callable[..., Stack], http: aiohttp.ClientSession
) -> None:
    stack = start("--simulate", "gpus=1,vram=24GiB,workers=2,speed=5")
    ann = Client(http, stack.url, {"Authorization": f"Bearer {ANN}"})
    small = await ann.queue(sampling_prompt(4, steps=1000))
    large = await ann.queue(vae_round_trip())
    async with asyncio.timeout(60):
        while len((await ann.get("/queue"))["queue_running"]) < 2:
            await asyncio.sleep(0.02)
    for prompt_id in (large, small):
        entry = await ann.ended(prompt_id, 60)
        assert entry["status"]["status_str"] == "success"
