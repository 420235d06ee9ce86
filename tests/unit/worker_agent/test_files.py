from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from worker_agent.comfy_client import ComfyClient, new_session
from worker_agent.files import WorkerFiles, is_allowed


@pytest.mark.parametrize(
    "path",
    [
        "",
        "index.html",
        "favicon.ico",
        "user.css",
        "app-1.js",
        "object_info/LoadImage",
        "extensions/pack/js/a.js",
        "assets/x.woff2",
        "models/checkpoints",
        "api/workflow_templates/pack/a.json",
    ],
)
def test_pages_of_the_frontend_and_facts_are_handed_out(path: str) -> None:
    assert is_allowed(path)


@pytest.mark.parametrize(
    "path",
    [
        "history",
        "queue",
        "view",
        "internal/logs",
        "manager/reboot",
        "userdata/a.js",
        "api/queue",
        "api/workflow_templates",
        "api/workflow_templates/../queue",
        "extensions/../history",
        "a/b.js",
        "assets/..",
        "x.js\n",
        "models\\..\\x",
    ],
)
def test_everything_else_of_a_worker_is_out_of_reach(path: str) -> None:
    assert not is_allowed(path)


async def test_a_file_whose_worker_dies_halfway_breaks_off_and_holds_nothing_else(
    tmp_path: Path,
) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"Content-Length": "1000"})
        await reply.prepare(request)
        await reply.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return reply

    (tmp_path / "a.png").write_bytes(b"x" * 1000)
    worker_app, agent_app = web.Application(), web.Application()
    worker_app.router.add_get("/view", half)
    async with TestServer(worker_app) as worker, new_session() as session:
        client = ComfyClient(session, str(worker.make_url("")))
        files = WorkerFiles(lambda _: client, lambda _: {"output": tmp_path})
        agent_app.router.add_get("/{worker}/file", files.file)
        async with TestServer(agent_app) as agent:
            url = agent.make_url("/w/file?filename=a.png")
            got = b""

            async def download() -> None:
                nonlocal got
                async with session.get(url) as reply:
                    async for chunk in reply.content.iter_any():
                        got += chunk

            with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
                await download()
            assert b"half".startswith(got)
