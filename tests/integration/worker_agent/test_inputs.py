"""Files a prompt reads, fetched from a gateway or another worker; files it made, handed out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from scheduler.redis_ledger import RedisLedger
from scheduler.states import FailReason, JobState
from tests.integration.worker_agent.bed import TOKEN, Bed, fake_spec, make_agent, running, uploaded

AUTH = {"Authorization": f"Bearer {TOKEN}"}


def load(name: str, **more: Any) -> dict[str, Any]:
    return {"1": {"class_type": "LoadImage", "inputs": {"image": name}}, **more}


def save(prefix: str = "p") -> dict[str, Any]:
    return {"class_type": "SaveImage", "inputs": {"filename_prefix": prefix}}


class Gateway:
    """Hands out inputs by hash, as a gateway does."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.asked: list[str] = []

    async def input(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        sha = request.match_info["sha"]
        self.asked.append(sha)
        body = self.content.get(sha)
        return web.Response(body=body) if body is not None else web.Response(status=404)


@pytest.fixture
async def gateway(ledger: RedisLedger) -> AsyncIterator[Gateway]:
    gateway = Gateway()
    app = web.Application()
    app.router.add_get("/cluster/v1/inputs/{sha}", gateway.input)
    async with TestServer(app) as server:
        await ledger.announce_gateway("gw", str(server.make_url("")), 60_000)
        yield gateway


async def test_an_upload_reaches_the_worker_once_under_the_users_folder(
    bed: Bed, gateway: Gateway, tmp_path: Path
) -> None:
    file = uploaded("sub/pic.png", b"red")
    gateway.content[file.sha256] = b"red"
    for _ in range(2):
        job = await bed.start(load("sub/pic.png [input]", **{"2": save()}), inputs=(file,))
        assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
    stored = tmp_path / "worker0" / "input" / "vg" / "ann" / "sub" / "pic.png"
    assert stored.read_bytes() == b"red"
    value = (await bed.seen())["prompts"][1]["prompt"]["1"]["inputs"]["image"]
    assert value == "vg/ann/sub/pic.png [input]"
    assert gateway.asked == [file.sha256]


async def test_a_model_lies_where_load3d_lists_it_and_a_scene_below_the_users_folder(
    bed: Bed, gateway: Gateway, tmp_path: Path
) -> None:
    files = uploaded("3d/m.glb", b"mesh"), uploaded("threed/s.png [temp]", b"view")
    gateway.content = {
        file.sha256: body for file, body in zip(files, (b"mesh", b"view"), strict=True)
    }
    # a name that no gateway found is the user's own all the same: the worker misses it
    scene = {"image": "threed/s.png [temp]", "mask": "vg/bob/b.png [input]", "recording": ""}
    inputs = {"model_file": "3d/m.glb", "image": scene}
    graph = {"1": {"class_type": "Load3D", "inputs": inputs}, "2": save()}
    job = await bed.start(graph, inputs=files)
    assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
    folder = tmp_path / "worker0" / "input"
    assert (folder / "3d" / "vg" / "ann" / "m.glb").read_bytes() == b"mesh"
    assert (folder / "vg" / "ann" / "threed" / "s.png").read_bytes() == b"view"
    assert (await bed.seen())["prompts"][0]["prompt"]["1"]["inputs"] == {
        "model_file": "3d/vg/ann/m.glb",
        "image": {
            "image": "vg/ann/threed/s.png [input]",
            "mask": "vg/ann/vg/bob/b.png [input]",
            "recording": "",
        },
    }


async def test_a_file_that_no_gateway_has_fails_the_job_and_says_so(
    bed: Bed, gateway: Gateway
) -> None:
    job = await bed.start(load("pic.png"), inputs=(uploaded("pic.png", b"x"),))
    ended = await bed.until_ended(job.id)
    assert ended.reason is FailReason.NODE_ERROR
    assert "pic.png is gone" in (await bed.frames(job.id))[0][1]["exception_message"]


async def test_an_output_of_another_worker_is_copied_over(
    ledger: RedisLedger, tmp_path: Path
) -> None:
    specs = [fake_spec(tmp_path, 0), fake_spec(tmp_path, 1)]
    agent = make_agent(ledger, tmp_path, specs)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready("host-0")
        await bed.ready("host-1")
        made = await bed.start({"1": save("cat/p")})
        await bed.until_ended(made.id)
        for worker in ("host-0", "host-1"):
            job = await bed.submit(load("cat/p_00001_.png [output]", **{"2": save()}))
            await bed.admit(job.id, worker)
            assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
        here = (await bed.seen(0))["prompts"][1]["prompt"]["1"]["inputs"]["image"]
        there = (await bed.seen(1))["prompts"][0]["prompt"]["1"]["inputs"]["image"]
    assert here == "vg/ann/cat/p_00001_.png [output]"
    assert there == "vg/ann/host-0/cat/p_00001_.png [input]"
    copied = tmp_path / "worker1" / "input" / "vg/ann/host-0/cat/p_00001_.png"
    assert copied.read_bytes().startswith(b"\x89PNG")


async def test_files_are_handed_out_to_whoever_shows_the_token(bed: Bed) -> None:
    job = await bed.start({"1": save("cat/p")})
    await bed.until_ended(job.id)
    url = f"{bed.agent.url}/v1/workers/host-0/file"
    query = {"type": "output", "subfolder": "vg/ann/cat", "filename": "p_00001_.png"}
    async with aiohttp.ClientSession() as session:
        async with session.get(url, params=query) as reply:
            assert reply.status == 401
        async with session.get(url, params=query, headers={"Authorization": "Bearer no"}) as reply:
            assert reply.status == 401
        async with session.get(url, params=query, headers=AUTH) as reply:
            assert await reply.read() == b"\x89PNG\r\n\x1a\n fake"
            etag = reply.headers["ETag"]
        ranged = AUTH | {"Range": "bytes=1-3"}
        async with session.get(url, params=query, headers=ranged) as reply:
            assert (reply.status, await reply.read()) == (206, b"PNG")
        async with session.get(url, params=query, headers=AUTH | {"If-None-Match": etag}) as reply:
            assert reply.status == 304
        async with session.head(url, params=query, headers=AUTH) as reply:
            assert reply.headers["Content-Length"] == "13"
        async with session.get(url, params=query | {"filename": "no"}, headers=AUTH) as reply:
            assert reply.status == 404


async def test_files_outlive_their_worker(bed: Bed) -> None:
    job = await bed.start({"1": save("cat/p")})
    await bed.until_ended(job.id)
    process = bed.agent._supervisor.process("host-0")
    assert process is not None
    await process.stop()
    url = f"{bed.agent.url}/v1/workers/host-0/file"
    query = {"type": "output", "subfolder": "vg/ann/cat", "filename": "p_00001_.png"}
    async with aiohttp.ClientSession(headers=AUTH) as session:
        async with session.get(url, params=query) as reply:
            assert await reply.read() == b"\x89PNG\r\n\x1a\n fake"
        escape = query | {"subfolder": "../..", "filename": "worker0.log"}
        async with session.get(url, params=escape) as reply:
            assert reply.status == 404


async def test_only_listed_pages_of_a_worker_are_handed_out(bed: Bed) -> None:
    base = f"{bed.agent.url}/v1/workers/host-0/comfy"
    async with aiohttp.ClientSession(headers=AUTH) as session:
        async with session.get(f"{base}/object_info") as reply:
            assert "SaveImage" in await reply.json()
        for path in ("queue", "history/x", "fake/seen", "api/queue", "extensions/%2e%2e/queue"):
            async with session.get(f"{base}/{path}") as reply:
                assert reply.status in (403, 404)
        async with session.get(f"{bed.agent.url}/v1/workers/nobody/comfy/object_info") as reply:
            assert reply.status == 404
        async with session.get(f"{bed.agent.url}/v1/health") as reply:
            assert (await reply.json())["agent"] == "host"


async def test_a_file_that_the_worker_finds_too_large_fails_the_job_and_says_so(
    bed: Bed, gateway: Gateway
) -> None:
    content = bytes(2**26 + 1)
    file = uploaded("film.png", content)
    gateway.content[file.sha256] = content
    job = await bed.start(load("film.png", **{"2": save()}), inputs=(file,))
    ended = await bed.until_ended(job.id)
    assert ended.reason is FailReason.NODE_ERROR
    assert "--max-upload-size" in (await bed.frames(job.id))[0][1]["exception_message"]
