from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from scheduler.live import FilePlace
from worker_agent.comfy_client import ComfyClient, new_session
from worker_agent.files import WorkerFiles, is_allowed

Ask = Callable[[str], Awaitable[tuple[int, bytes]]]


@asynccontextmanager
async def an_agent(folders: Mapping[str, Path]) -> AsyncIterator[Ask]:
    """An agent's file routes before a worker that has nothing."""
    worker_app, agent_app = web.Application(), web.Application()
    async with TestServer(worker_app) as worker, new_session() as session:
        client = ComfyClient(session, str(worker.make_url("")))
        files = WorkerFiles(lambda _: client, lambda _: folders)
        agent_app.router.add_get("/{worker}/file", files.file)
        agent_app.router.add_get("/{worker}/place", files.place)
        async with TestServer(agent_app) as agent:

            async def ask(path: str) -> tuple[int, bytes]:
                url = URL(f"{agent.make_url('/w')}/{path}", encoded=True)
                async with session.get(url) as reply:
                    return reply.status, await reply.read()

            yield ask


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
            url = agent.make_url("/w/file?filename=a.png&preview=webp")
            got = b""

            async def download() -> None:
                nonlocal got
                async with session.get(url) as reply:
                    async for chunk in reply.content.iter_any():
                        got += chunk

            with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
                await download()
            assert b"half".startswith(got)


async def test_a_whole_file_comes_from_the_disk_where_its_folder_is_in_sight(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.png").write_bytes(b"x" * 1000)
    async with an_agent({"output": tmp_path}) as ask:
        status, body = await ask("file?filename=a.png")
    assert (status, body) == (200, b"x" * 1000)


async def test_the_place_of_a_file_names_the_very_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    file = tmp_path / "sub" / "a.png"
    file.write_bytes(b"x" * 1000)
    async with an_agent({"output": tmp_path}) as ask:
        status, body = await ask("place?type=output&subfolder=sub&filename=a.png")
    found, facts = msgspec.json.decode(body, type=FilePlace), file.stat()
    assert status == 200
    assert found.path == str(file.resolve())
    assert (found.inode, found.size_bytes, found.modified_ns) == (
        facts.st_ino,
        1000,
        facts.st_mtime_ns,
    )


@pytest.mark.parametrize(
    "query",
    [
        "filename=none.png",
        "filename=link.png",
        "filename=secret.txt&subfolder=linked",
        "filename=secret.txt&subfolder=..",
        "filename=..%2Fsecret.txt",
        "filename=sub",
        "filename=a%00.png",
        "filename=a.png&type=input",
        "",
    ],
)
async def test_no_place_is_told_of_what_lies_outside_or_is_no_file(
    tmp_path: Path, query: str
) -> None:
    folder = tmp_path / "output"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"x")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.png").symlink_to(tmp_path / "secret.txt")
    (folder / "linked").symlink_to(tmp_path)
    async with an_agent({"output": folder}) as ask:
        status, body = await ask("place?" + query)
    assert status == 404
    assert b"secret" not in body


async def test_an_agent_that_does_not_see_the_folders_says_so(tmp_path: Path) -> None:
    async with an_agent({}) as ask:
        assert await ask("place?filename=a.png") == (200, b"null")
