"""The probe inside a real ComfyUI.

Opt-in: COMFYUI_PATH names a checkout (of 0.3.64 or another version), COMFYUI_PYTHON its Python where
that is not ``venv/bin/python`` in it. Runs on the processor; nothing is written into the checkout.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from PIL import Image

from bench.gpu.probed import ProbedComfyui, Refused

COMFYUI = os.environ.get("COMFYUI_PATH", "")
PYTHON = os.environ.get("COMFYUI_PYTHON", f"{COMFYUI}/venv/bin/python")
pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.skipif(not COMFYUI, reason="COMFYUI_PATH names no checkout of ComfyUI"),
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
]

#: nodes whose ways are told apart: one waits for a lazy input, one grows others, one is asynchronous
PACK = """
import asyncio
import torch
from comfy_execution.graph_utils import GraphBuilder


class Base:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE", {})}}


class Lazy(Base):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE", {"lazy": True})}}

    def check_lazy_status(self, images=None):
        return ["images"] if images is None else []

    def run(self, images):
        return (images,)


class Grow(Base):
    def run(self, images=None):
        graph = GraphBuilder()
        inner = graph.node("EmptyImage", width=8, height=8, batch_size=1, color=3)
        return {"result": (inner.out(0),), "expand": graph.finalize()}


class Later(Base):
    async def run(self, images=None):
        await asyncio.sleep(0.2)
        return (torch.zeros(1, 8, 8, 3),)


class Fail(Base):
    def run(self, images=None):
        raise ValueError("the text of somebody's prompt")


NODE_CLASS_MAPPINGS = {"TestLazy": Lazy, "TestGrow": Grow, "TestLater": Later, "TestFail": Fail}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def comfyui(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ProbedComfyui]:
    home = tmp_path_factory.mktemp("comfyui")
    pack = home / "nodes" / "test_nodes"
    pack.mkdir(parents=True)
    (pack / "__init__.py").write_text(PACK)
    async with ProbedComfyui(Path(COMFYUI), Path(PYTHON), home, home, ("--cpu",)) as made:
        yield made


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def picture(color: int) -> dict[str, Any]:
    return node("EmptyImage", width=64, height=32, batch_size=1, color=color)


async def records(comfyui: ProbedComfyui, graph: dict[str, Any]) -> list[dict[str, Any]]:
    """What the probe told of one prompt, whatever became of it."""
    last = (await comfyui.ask("GET", ""))["last"]
    await comfyui.run(graph)
    for _ in range(100):
        found: list[dict[str, Any]] = (await comfyui.ask("GET", f"/records?after={last}"))[
            "records"
        ]
        if any(one["kind"] == "prompt" for one in found):
            return found
        await asyncio.sleep(0.1)
    raise AssertionError("no record of the prompt")


def nodes(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["class"]: one for one in found if one["kind"] == "node"}


async def test_every_hook_is_there_and_none_fails(comfyui: ProbedComfyui) -> None:
    about = await comfyui.ask("GET", "")
    assert about["missing"] == []
    assert "execution.execute" in about["hooks"]
    assert about["errors"] == 0


async def test_a_prompt_and_its_nodes_are_told(comfyui: ProbedComfyui) -> None:
    graph = {"1": picture(1), "2": node("PreviewImage", images=["1", 0])}
    found = await records(comfyui, graph)
    told = nodes(found)
    shape = {"shape": [1, 32, 64, 3], "dtype": "float32"}
    assert told["EmptyImage"]["outputs"] == {"IMAGE": shape}
    assert told["EmptyImage"]["out_bytes"] == 64 * 32 * 3 * 4
    assert told["PreviewImage"]["inputs"] == {"images": shape}
    prompt = found[-1]
    assert (prompt["result"], prompt["nodes"], prompt["cached"]) == ("success", 2, 0)
    assert prompt["retained"]["EmptyImage"] >= 64 * 32 * 3 * 4
    assert prompt["allocated"][1] > 0
    again = await records(comfyui, graph)
    assert again[-1]["cached"] == 2


async def test_lazy_grown_and_asynchronous_nodes_are_one_record_each(
    comfyui: ProbedComfyui,
) -> None:
    found = await records(
        comfyui,
        {
            "1": picture(2),
            "10": node("TestLazy", images=["1", 0]),
            "11": node("TestGrow", images=["10", 0]),
            "12": node("TestLater", images=["10", 0]),
            "13": node("PreviewImage", images=["11", 0]),
            "14": node("PreviewImage", images=["12", 0]),
        },
    )
    told = nodes(found)
    assert told["TestLazy"]["calls"] == 2
    assert told["TestGrow"]["calls"] == 2
    grown = [one for one in found if one.get("display") == "11"]
    assert [one["class"] for one in grown] == ["EmptyImage"]
    assert told["TestLater"]["seconds"] >= 0.2
    assert found[-1]["overlap"] is True
    ids = [one["node"] for one in found if one["kind"] == "node"]
    assert len(ids) == len(set(ids))


async def test_a_failure_tells_its_type_and_no_text(comfyui: ProbedComfyui) -> None:
    graph = {
        "1": node("TestFail", images=["2", 0]),
        "2": picture(3),
        "3": node("PreviewImage", images=["1", 0]),
    }
    found = await records(comfyui, graph)
    assert nodes(found)["TestFail"]["error"] == "ValueError"
    assert found[-1]["result"] == "error"
    assert "somebody" not in json.dumps(found)


async def test_the_monitor_marks_its_place(comfyui: ProbedComfyui) -> None:
    graph = {
        "1": picture(4),
        "2": node("VramgatePerformanceMonitor", anything=["1", 0], label="here"),
        "3": node("PreviewImage", images=["2", 0]),
    }
    told = nodes(await records(comfyui, graph))
    assert told["VramgatePerformanceMonitor"]["marker"] == "here"
    assert told["PreviewImage"]["result"] == "success"


async def test_records_arrive_at_the_subscribed_socket(comfyui: ProbedComfyui) -> None:
    async with (
        aiohttp.ClientSession(comfyui.url) as http,
        http.ws_connect("/ws?clientId=agent") as socket,
    ):
        begun = await comfyui.ask("POST", "/subscribe", {"sid": "agent"})
        await comfyui.run({"1": picture(5), "2": node("PreviewImage", images=["1", 0])})
        told: list[dict[str, Any]] = []
        while not any(one["kind"] == "prompt" for one in told):
            message = await socket.receive_json(timeout=20)
            if message["type"] == "vramgate":
                assert message["data"]["boot"] == begun["boot"]
                told += message["data"]["records"]
    assert [one["seq"] for one in told] == list(range(begun["last"] + 1, told[-1]["seq"] + 1))


async def test_previews_are_taken_only_when_asked_for(comfyui: ProbedComfyui) -> None:
    def graph(color: int) -> dict[str, Any]:
        return {"1": picture(color), "2": node("PreviewImage", images=["1", 0])}

    before = nodes(await records(comfyui, graph(0xFF0000)))
    assert "capture" not in before["EmptyImage"]
    await comfyui.ask("POST", "/settings", {"capture": {"pixels": 32}})
    told = nodes(await records(comfyui, graph(0x00FF00)))
    url = comfyui.url + "/vramgate/probe/capture/" + told["EmptyImage"]["capture"]
    headers = {"Authorization": f"Bearer {comfyui._token}"}
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        with Image.open(io.BytesIO(await answer.read())) as image:
            assert image.size == (32, 16)
            red, green, blue = image.convert("RGB").getpixel((5, 5))  # type: ignore[misc]
    assert green > 200 > 50 > max(red, blue)
    await comfyui.ask("POST", "/settings", {"capture": None})
    with pytest.raises(Refused):
        await comfyui.ask("GET", "/capture/" + told["EmptyImage"]["capture"])


async def test_hooks_off_tell_nothing(comfyui: ProbedComfyui) -> None:
    await comfyui.ask("POST", "/settings", {"hooks": False})
    last = (await comfyui.ask("GET", ""))["last"]
    await comfyui.run({"1": picture(6), "2": node("PreviewImage", images=["1", 0])})
    await asyncio.sleep(0.5)
    assert (await comfyui.ask("GET", ""))["last"] == last
    await comfyui.ask("POST", "/settings", {"hooks": True})


async def test_nothing_went_wrong_in_all_of_this(comfyui: ProbedComfyui) -> None:
    assert (await comfyui.ask("GET", ""))["errors"] == 0
