"""The load process: whole answers are counted, and what is none is told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.gateway_load import LAST_NODE, Loader, LoadError, request, spread
from bench.gateway_turns import UPGRADE

BIG = bytes(3_000_000)


async def answer(asked: web.Request) -> web.StreamResponse:
    what = asked.match_info["what"]
    if what == "big":
        return web.Response(body=BIG)
    if what == "same":
        return web.Response(status=304)
    if what == "mine":
        known = asked.headers.get("Authorization") == "Bearer k"
        return web.Response(status=200 if known else 401, text="x")
    reply = web.StreamResponse()
    reply.enable_chunked_encoding()
    await reply.prepare(asked)
    await reply.write_eof(b"no length")
    return reply


async def socket(asked: web.Request) -> web.WebSocketResponse:
    reply = web.WebSocketResponse()
    await reply.prepare(asked)
    await reply.send_json({"type": "status", "data": {}})
    sizes = (10, 200, 70_000)
    for size in sizes:
        await reply.send_bytes(bytes(size))
    done = {"nodes": {LAST_NODE: {"state": "finished"}}}
    await reply.send_json({"type": "progress_state", "data": done})
    await reply.receive()
    return reply


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/ws", socket)
    app.router.add_route("*", "/{what}", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        assert server.port is not None
        yield server.port


@pytest.fixture
async def loader() -> AsyncIterator[Loader]:
    made = await Loader.start()
    yield made
    await made.stop()


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/big", {}, "200"),
        ("/same", {}, "304"),
        ("/mine", {"Authorization": "Bearer k"}, "200"),
        ("/mine", {}, "401"),
    ],
)
async def test_as_many_answers_are_counted_as_were_asked_for(
    loader: Loader, port: int, path: str, headers: dict[str, str], status: str
) -> None:
    raw = request(path, headers=headers)
    found = await loader.rate(port, raw, seconds=30, connections=3, most=25)
    assert (found["count"], found["statuses"]) == (25, {status: 25})
    assert 0 < found["p50_ms"] <= found["p99_ms"]


async def test_a_body_is_sent_with_each_request(loader: Loader, port: int) -> None:
    found = await loader.rate(port, request("/big", body=b'{"a": 1}'), seconds=30, most=4)
    assert found["statuses"] == {"200": 4}


async def test_an_answer_without_a_length_is_no_figure(loader: Loader, port: int) -> None:
    with pytest.raises(LoadError, match="no answer with a length"):
        await loader.rate(port, request("/chunked"), seconds=1)


async def test_frames_of_every_size_are_heard_by_every_socket(loader: Loader, port: int) -> None:
    await loader.listen(port, request("/ws", headers=UPGRADE), 4)
    found = await loader.heard()
    assert (found["sockets"], found["frames"], found["delivered_share"]) == (4, 3, 1.0)
    await loader.hang_up()


def test_a_spread_is_in_milliseconds() -> None:
    assert spread([0.001] * 99 + [0.5]) == {"p50_ms": 1.0, "p99_ms": 500.0}
    assert spread([]) == {"p50_ms": 0.0, "p99_ms": 0.0}
