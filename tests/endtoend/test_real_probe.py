"""The probe inside a real ComfyUI, on the CPU.

Opt-in: COMFYUI_PATH names an installed ComfyUI with a ``venv`` in it. What needs a checkpoint takes
the first one that it has.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bench.gpu.graphs import Workflow
from bench.gpu.probed import ProbedComfyui, Refused

COMFYUI = os.environ.get("COMFYUI_PATH", "")

pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.skipif(not COMFYUI, reason="COMFYUI_PATH names no real ComfyUI"),
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

PICTURE = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 1},
    },
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}


@pytest.fixture(scope="module")
def worker(
    tmp_path_factory: pytest.TempPathFactory,
) -> ProbedComfyui:
    path = Path(COMFYUI)
    folder = tmp_path_factory.mktemp("probe")
    checkpoints = Path(os.environ.get("COMFYUI_CHECKPOINTS", folder))
    python = path / "venv" / "bin" / "python"
    return ProbedComfyui(path, python, folder, checkpoints, args=("--cpu",))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def comfyui(worker: ProbedComfyui) -> AsyncIterator[ProbedComfyui]:
    async with worker:
        yield worker


async def test_every_hook_finds_its_place(comfyui: ProbedComfyui) -> None:
    about = await comfyui.ask("GET", "/")
    assert about["missing"] == []
    assert (about["device"], about["limit"], about["errors"]) == ("cpu", "observed", 0)
    assert about["comfyui"]


async def test_a_limit_without_a_gpu_is_noted(comfyui: ProbedComfyui) -> None:
    told = await comfyui.ask("POST", "/limit", {"bytes": 8 * 2**30, "context": 2**30})
    assert (told["limit"], told["mode"]) == (8 * 2**30, "observed")
    assert (await comfyui.ask("GET", "/memory"))["limit"] == 8 * 2**30
    await comfyui.ask("POST", "/limit", {"bytes": None})
    assert (await comfyui.ask("GET", "/memory"))["limit"] is None


async def test_a_verdict_is_what_comfyui_says_to_a_post(comfyui: ProbedComfyui) -> None:
    wrong = {**PICTURE, "1": {**PICTURE["1"], "inputs": {"width": "wide"}}}
    verdict = await comfyui.ask("POST", "/validate", {"prompt": wrong})
    async with (
        aiohttp.ClientSession() as http,
        http.post(comfyui.url + "/prompt", json={"prompt": wrong}) as response,
    ):
        assert response.status == 400
        said = await response.json()
    assert (verdict["valid"], verdict["outputs"]) == (False, [])
    assert {key: verdict[key] for key in ("error", "node_errors")} == said
    verdict = await comfyui.ask("POST", "/validate", {"prompt": PICTURE})
    assert (verdict["valid"], verdict["outputs"]) == (True, ["2"])


async def records_of(comfyui: ProbedComfyui, kind: str, after: int) -> list[dict[str, Any]]:
    """Those after a number, once the prompt's own was told."""
    while True:
        told = (await comfyui.ask("GET", f"/records?after={after}"))["records"]
        if any(record["kind"] == "prompt" for record in told):
            return [record for record in told if record["kind"] == kind]
        await asyncio.sleep(0.05)


async def test_a_release_forgets_what_nodes_handed_on(comfyui: ProbedComfyui) -> None:
    cached = []
    for release in (False, False, True):
        if release:
            await comfyui.ask("POST", "/release", {})
        last = (await comfyui.ask("GET", "/"))["last"]
        assert (await comfyui.run(PICTURE))[1] == "ok"
        (record,) = await records_of(comfyui, "prompt", last)
        cached.append(record["cached"])
    assert cached == [0, 2, 0]


async def test_nothing_is_taken_from_under_a_prompt(comfyui: ProbedComfyui) -> None:
    slow = {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 2048, "height": 2048, "batch_size": 4, "color": 5},
        },
        "2": {
            "class_type": "ImageBlur",
            "inputs": {"image": ["1", 0], "blur_radius": 31, "sigma": 10.0},
        },
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }
    run = asyncio.create_task(comfyui.run(slow))
    await asyncio.sleep(1)
    with pytest.raises(Refused, match="409"):
        await comfyui.ask("POST", "/release", {})
    assert (await run)[1] == "ok"
    assert (await comfyui.ask("POST", "/trim", {}))["unloaded"] == []


async def test_models_are_known_by_their_file_and_released_one_by_one(
    comfyui: ProbedComfyui,
) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(comfyui.url + "/models/checkpoints") as response,
    ):
        names = await response.json()
    if not names:
        pytest.skip("it has no checkpoint")
    workflow = Workflow(names[0].removesuffix(".safetensors"), 64, 64, 1, 1)
    assert (await comfyui.run(workflow.graph(1)))[1] == "ok"
    models = (await comfyui.ask("GET", "/memory"))["models"]
    assert {model["name"] for model in models} == {names[0]}
    assert all(model["bytes"] > 0 for model in models)
    kept = await comfyui.ask("POST", "/release", {"keep": [names[0]]})
    assert kept["unloaded"] == []
    gone = await comfyui.ask("POST", "/release", {"keep": ["another"]})
    assert set(gone["unloaded"]) == {names[0]}
    assert gone["after"]["models"] == []
    assert (await comfyui.run(workflow.graph(2)))[1] == "ok"
    assert (await comfyui.ask("GET", "/"))["errors"] == 0
