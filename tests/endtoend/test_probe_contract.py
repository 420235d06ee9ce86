"""One set of tests for the probe and for the simulated worker's: what an agent relies on.

The real one is asked where COMFYUI_PATH names an installed ComfyUI with a ``venv`` in it.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer

from bench.gpu.probed import ProbedComfyui
from simulator.comfyui.app import build_app
from simulator.comfyui.options import NO_SLEEP_SPEED, WorkerOptions
from worker_agent.probe.settings import Settings
from worker_agent.probe_client import Batch, ProbeClient, ProbeFailed

COMFYUI = os.environ.get("COMFYUI_PATH", "")
TOKEN = "a worker's own token"
pytestmark = [pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]

REAL = pytest.param(
    "real",
    marks=[
        pytest.mark.comfyui,
        pytest.mark.skipif(not COMFYUI, reason="COMFYUI_PATH names no real ComfyUI"),
    ],
)
PICTURE = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 32, "batch_size": 1, "color": 1},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "secret"}},
}
#: what every record of a kind has, whoever made it
COMMON = {"seq", "kind", "at"}
FIELDS = {
    "prompt": {
        *("prompt", "started", "seconds", "result", "nodes", "cached", "limit", "loads"),
        *("load_seconds", "overlap", "retained"),
    },
    "node": {
        *("prompt", "node", "class", "started", "seconds", "calls", "cached", "result"),
        *("allocated", "peak", "out_bytes", "inputs", "outputs"),
    },
}


@dataclass
class Side:
    """One ComfyUI, as its agent talks to it."""

    http: aiohttp.ClientSession
    url: str
    probe: ProbeClient

    async def run(self, prompt: dict[str, Any], sid: str = "nobody") -> str:
        body = {"prompt": prompt, "client_id": sid, "prompt_id": str(uuid.uuid4())}
        async with self.http.post(f"{self.url}/prompt", json=body) as reply:
            assert reply.status == 200, await reply.text()
        while True:
            async with self.http.get(f"{self.url}/history/{body['prompt_id']}") as reply:
                if await reply.json():
                    return str(body["prompt_id"])
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["simulated", REAL])
async def side(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Side]:
    folder = tmp_path_factory.mktemp("probe")
    async with aiohttp.ClientSession() as http:
        if request.param == "simulated":
            probe = Settings(token=TOKEN)
            options = WorkerOptions(data_dir=folder, speed=NO_SLEEP_SPEED, seed=1, probe=probe)
            async with TestServer(build_app(options)) as server:
                url = str(server.make_url("")).rstrip("/")
                yield Side(http, url, ProbeClient(http, url, TOKEN))
            return
        path = Path(COMFYUI)
        python = path / "venv" / "bin" / "python"
        real = ProbedComfyui(path, python, folder, folder, args=("--cpu",))
        async with real:
            yield Side(http, real.url, ProbeClient(http, real.url, real._token))


async def after(side: Side, seen: int) -> Batch:
    return await side.probe.records(seen)


async def test_it_says_what_it_is(side: Side) -> None:
    info = await side.probe.info()
    assert info is not None
    assert (info.device, info.limit.value, info.missing) == ("cpu", "observed", ())


async def test_another_token_opens_nothing(side: Side) -> None:
    with pytest.raises(ProbeFailed, match="token"):
        await ProbeClient(side.http, side.url, "another").info()


async def test_a_prompts_records_are_complete_as_soon_as_its_history_is(side: Side) -> None:
    seen = (await after(side, 0)).last
    prompt_id = await side.run(PICTURE)
    records = (await after(side, seen)).records
    assert [record["seq"] for record in records] == list(range(seen + 1, seen + 1 + len(records)))
    told = [record for record in records if record["kind"] in FIELDS]
    assert [record["kind"] for record in told] == ["node", "node", "prompt"]
    for record in told:
        assert COMMON | FIELDS[record["kind"]] <= record.keys()
        assert record["prompt"] == prompt_id
    image, save, prompt = told
    assert image["outputs"]["IMAGE"] == {"shape": [1, 32, 64, 3], "dtype": "float32"}
    assert image["out_bytes"] == 64 * 32 * 3 * 4
    assert image["inputs"]["width"] == 64
    assert save["inputs"]["filename_prefix"] != "secret"
    assert (prompt["result"], prompt["nodes"], prompt["cached"]) == ("success", 2, 0)


async def test_what_was_cached_says_so(side: Side) -> None:
    await side.run(PICTURE)
    seen = (await after(side, 0)).last
    await side.run(PICTURE)
    told = (await after(side, seen)).records
    prompt = next(record for record in told if record["kind"] == "prompt")
    nodes = {record["node"]: record["cached"] for record in told if record["kind"] == "node"}
    assert prompt["cached"] == 2
    # ComfyUI visits an output, finds it cached, and never looks further
    assert nodes == {"2": True}
    assert prompt["nodes"] == 1


async def test_what_was_acknowledged_does_not_come_again(side: Side) -> None:
    await side.run(PICTURE)
    seen = (await after(side, 0)).last
    await after(side, seen)
    assert (await after(side, 0)).records == ()


async def test_a_release_drops_what_nodes_handed_on(side: Side) -> None:
    await side.run(PICTURE)
    freed = await side.probe.release()
    assert freed.after.models == ()
    seen = (await after(side, 0)).last
    await side.run(PICTURE)
    told = (await after(side, seen)).records
    assert next(record for record in told if record["kind"] == "prompt")["cached"] == 0


async def test_between_prompts_all_of_it_is_done(side: Side) -> None:
    await side.probe.trim(0)
    await side.probe.warm()
    assert (await side.probe.limit(None, 0, None)).value == "observed"
    assert (await side.probe.memory()).models == ()


async def test_a_prompt_is_judged_without_being_queued(side: Side) -> None:
    wrong = {**PICTURE, "1": {**PICTURE["1"], "inputs": {"width": "wide"}}}
    judged = await side.probe.validate(wrong)
    assert not judged.valid
    assert judged.error is not None
    assert set(judged.node_errors) == {"1"}
    judged = await side.probe.validate(PICTURE)
    assert (judged.valid, judged.outputs) == (True, ("2",))
    async with side.http.get(f"{side.url}/queue") as reply:
        assert await reply.json() == {"queue_running": [], "queue_pending": []}


async def test_frames_go_to_who_subscribed_alone(side: Side) -> None:
    async with (
        side.http.ws_connect(f"{side.url}/ws?clientId=agent") as agent,
        side.http.ws_connect(f"{side.url}/ws?clientId=other") as other,
    ):
        await agent.receive()
        await other.receive()
        subscribed = await side.probe.subscribe("agent")
        await side.run(PICTURE, "other")
        async with asyncio.timeout(20):
            frame = await _next_frame(agent)
        assert frame["boot"] == subscribed.boot
        assert frame["first"] == frame["records"][0]["seq"] == subscribed.last + 1
        await other.close()
        assert not [one async for one in other if '"vramgate"' in str(one.data)]


async def _next_frame(socket: aiohttp.ClientWebSocketResponse) -> Any:
    while True:
        message = await socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT and message.json()["type"] == "vramgate":
            return message.json()["data"]
