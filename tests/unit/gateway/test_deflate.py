"""What is negotiated, sent and read back; these fail when aiohttp's inside has changed."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WebSocketError, WSMsgType, hdrs, web
from aiohttp.test_utils import TestClient, TestServer

from gateway.deflate import DeflatingResponse, deflate, inflate

LIMIT = 2**16
LONG = b'{"text": "' + b"a long frame " * 1000 + b'"}'


class Place:
    """A server that does with each socket what a test says, and keeps what was heard."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.response: DeflatingResponse | None = None

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        response = DeflatingResponse(heartbeat=25, max_msg_size=LIMIT, timeout=1)
        await response.prepare(request)
        self.response = response
        if response.deflates:
            await response.send_deflated(deflate(LONG))
        await response.send_frame(b'{"short": 1}', WSMsgType.TEXT)
        await response.send_frame(b"\0\0\0\1image", WSMsgType.BINARY)
        async for message in response:
            if message.type is WSMsgType.TEXT:
                self.heard.append(message.data)
        return response


@asynccontextmanager
async def a_place() -> AsyncIterator[tuple[Place, TestClient[web.Request, web.Application]]]:
    place = Place()
    app = web.Application()
    app.router.add_get("/ws", place.handle)
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        yield place, client


async def until_heard(place: Place, count: int) -> None:
    async with asyncio.timeout(30):
        while len(place.heard) < count:
            await asyncio.sleep(0.005)


async def read(socket: ClientWebSocketResponse, count: int) -> list[Any]:
    return [(await socket.receive(timeout=30)).data for _ in range(count)]


async def test_a_client_that_offers_it_reads_long_frames_deflated_and_others_as_they_are() -> None:
    async with a_place() as (_, client), client.ws_connect("/ws", compress=15) as socket:
        assert await read(socket, 3) == [LONG.decode(), '{"short": 1}', b"\0\0\0\1image"]


async def test_one_that_offers_nothing_gets_nothing() -> None:
    async with a_place() as (place, client), client.ws_connect("/ws") as socket:
        assert await read(socket, 2) == ['{"short": 1}', b"\0\0\0\1image"]
        await socket.send_str("plain")
        await until_heard(place, 1)
        assert place.response is not None
        assert not place.response.deflates


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        ),
        (
            "permessage-deflate",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        ),
        ("permessage-deflate; server_max_window_bits=10", None),
        ("x-webkit-deflate-frame", None),
        (None, None),
    ],
)
async def test_neither_side_carries_context_or_there_is_no_deflate(
    offer: str | None, answer: str | None
) -> None:
    headers = {
        hdrs.UPGRADE: "websocket",
        hdrs.CONNECTION: "Upgrade",
        hdrs.SEC_WEBSOCKET_VERSION: "13",
        hdrs.SEC_WEBSOCKET_KEY: "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    if offer is not None:
        headers[hdrs.SEC_WEBSOCKET_EXTENSIONS] = offer
    async with a_place() as (_, client), client.get("/ws", headers=headers) as reply:
        assert reply.status == 101
        assert reply.headers.get(hdrs.SEC_WEBSOCKET_EXTENSIONS) == answer


async def test_what_a_client_deflates_is_read_one_message_after_the_other() -> None:
    wanted = [json.dumps({"n": number, "text": "again " * 100}) for number in range(3)]
    async with a_place() as (place, client), client.ws_connect("/ws", compress=15) as socket:
        for text in wanted:
            await socket.send_str(text)
        await until_heard(place, 3)
    assert place.heard == wanted


async def test_a_bomb_closes_its_socket_and_nothing_else() -> None:
    async with a_place() as (place, client), client.ws_connect("/ws", compress=15) as socket:
        await read(socket, 3)
        await socket.send_str("0" * LIMIT * 16)
        message = await socket.receive(timeout=30)
        assert (message.type, socket.close_code) == (WSMsgType.CLOSE, 1009)
        async with client.ws_connect("/ws", compress=15) as other:
            await other.send_str("fine")
            await until_heard(place, 1)
    assert place.heard == ["fine"]


async def test_no_compressor_is_kept_for_a_socket() -> None:
    async with a_place() as (place, client), client.ws_connect("/ws", compress=15) as socket:
        await socket.send_str("hello")
        await until_heard(place, 1)
        assert place.response is not None
        writer = place.response._writer
        assert writer is not None
        assert writer._compressobj is None


def test_inflate_undoes_deflate_and_refuses_what_is_none() -> None:
    assert inflate(deflate(LONG), len(LONG)) == LONG
    for packed in (b"\xff\xff\xff\xff", deflate(LONG)):
        with pytest.raises(WebSocketError):
            inflate(packed, len(LONG) - 1)
    taken_over = zlib.compressobj(1, zlib.DEFLATED, -15)
    first = taken_over.compress(LONG) + taken_over.flush(zlib.Z_SYNC_FLUSH)
    assert inflate(first.removesuffix(b"\0\0\xff\xff"), 2**20) == LONG
