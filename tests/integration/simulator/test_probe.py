"""A simulated worker's probe: limits that slow, memory that comes back, records that say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.comfyui.model import CONTEXT_BYTES
from simulator.gpu import SimulatedGpu
from tests.integration.simulator.conftest import Client, StartWorker
from tests.integration.simulator.prompts import Studio, stable_diffusion
from worker_agent.probe.settings import Settings

GIB = 2**30
TOKEN = "a worker's own token"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
ROOT = "/vramgate/probe"


@pytest.fixture
def gpu(tmp_path: Path) -> SimulatedGpu:
    return SimulatedGpu.create(tmp_path / "gpu0", 0, 24 * GIB, "Simulated", "GPU-1")


class Probed:
    def __init__(self, studio: Studio, client: Client) -> None:
        self.studio, self.client = studio, client
        self.seen = 0

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        async with self.client.request(method, ROOT + path, json=body, headers=HEADERS) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()

    async def run(self, model: str, size: int, **more: Any) -> list[dict[str, Any]]:
        await self.studio.run(stable_diffusion(model, size, **more))
        told = await self.ask("GET", f"/records?after={self.seen}")
        self.seen = told["last"]
        return list(told["records"])


@pytest.fixture
async def probed(start_worker: StartWorker, gpu: SimulatedGpu) -> Probed:
    client = await start_worker(gpu_dir=gpu.directory, probe=Settings(token=TOKEN))
    return Probed(await Studio.open(client), client)


def of(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [record for record in records if record["kind"] == kind]


async def test_without_a_token_there_is_no_probe(start_worker: StartWorker) -> None:
    client = await start_worker()
    async with client.get(ROOT, headers=HEADERS) as reply:
        assert reply.status == 404


async def test_a_prompt_is_recorded_with_its_nodes_models_and_peaks(probed: Probed) -> None:
    records = await probed.run("sdxl.safetensors", 1024)
    (prompt,) = of(records, "prompt")
    assert prompt["result"] == "success"
    assert prompt["loads"] == 1
    assert prompt["peak_reserved"] / GIB == pytest.approx(9.19, rel=0.02)
    nodes = of(records, "node")
    assert len(nodes) == prompt["nodes"] == 7
    decode = next(node for node in nodes if node["class"] == "VAEDecode")
    assert decode["outputs"]["IMAGE"]["shape"] == [1, 1024, 1024, 3]
    assert decode["peak"] == prompt["peak_allocated"]
    text = next(node for node in nodes if node["class"] == "CLIPTextEncode")
    assert len(text["inputs"]["text"]) == 12
    (load,) = of(records, "model")
    assert (load["what"], load["model"]) == ("load", "sdxl.safetensors")
    assert load["loaded_bytes"] == load["bytes"]
    cached = await probed.run("sdxl.safetensors", 1024)
    assert of(cached, "prompt")[0]["cached"] == 7


async def test_a_limit_holds_and_makes_the_prompt_slower_not_fail(
    probed: Probed, gpu: SimulatedGpu
) -> None:
    limit = {"bytes": 7 * GIB, "context": CONTEXT_BYTES}
    assert (await probed.ask("POST", "/limit", limit))["mode"] == "enforced"
    records = await probed.run("sdxl.safetensors", 1024)
    (prompt,) = of(records, "prompt")
    assert prompt["result"] == "success"
    assert prompt["limit"] == 7 * GIB
    assert prompt["peak_reserved"] + CONTEXT_BYTES <= 7 * GIB
    (load,) = of(records, "model")
    assert load["loaded_bytes"] < load["bytes"]
    assert gpu.read().used_bytes <= 7 * GIB


async def test_a_vae_that_does_not_fit_goes_in_tiles(probed: Probed) -> None:
    await probed.ask("POST", "/limit", {"bytes": 6 * GIB, "context": CONTEXT_BYTES})
    records = await probed.run("sd15.safetensors", 2048)
    decode = next(node for node in of(records, "node") if node["class"] == "VAEDecode")
    assert decode["fallback"] == "tiled"


async def test_a_lower_limit_is_kept_when_it_is_answered(probed: Probed, gpu: SimulatedGpu) -> None:
    await probed.run("sdxl.safetensors", 1024)
    await probed.run("sd15.safetensors", 512)
    names = [model["name"] for model in (await probed.ask("GET", "/memory"))["models"]]
    assert names == ["sdxl.safetensors", "sd15.safetensors"]
    await probed.ask("POST", "/limit", {"bytes": 4 * GIB, "context": CONTEXT_BYTES})
    memory = await probed.ask("GET", "/memory")
    assert [model["name"] for model in memory["models"]] == ["sd15.safetensors"]
    assert gpu.read().used_bytes <= 4 * GIB


async def test_memory_comes_back_when_it_is_asked_for(probed: Probed, gpu: SimulatedGpu) -> None:
    await probed.run("sdxl.safetensors", 1024)
    trimmed = await probed.ask("POST", "/trim", {})
    assert trimmed["before"]["reserved"] > trimmed["after"]["reserved"] > 6 * GIB
    assert trimmed["before"]["peak_reserved"] > 9 * GIB
    assert gpu.read().used_bytes == CONTEXT_BYTES + trimmed["after"]["reserved"]
    released = await probed.ask("POST", "/release", {})
    assert released["unloaded"] == ["sdxl.safetensors"]
    assert gpu.read().used_bytes == CONTEXT_BYTES


async def test_a_release_can_keep_what_is_named(probed: Probed) -> None:
    await probed.run("sdxl.safetensors", 512)
    await probed.run("sd15.safetensors", 512)
    released = await probed.ask("POST", "/release", {"keep": ["sd15.safetensors"]})
    assert released["unloaded"] == ["sdxl.safetensors"]
    assert [m["name"] for m in released["after"]["models"]] == ["sd15.safetensors"]
