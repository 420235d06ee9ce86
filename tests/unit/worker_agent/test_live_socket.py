"""A gateway hears everything in order, whether it leaves at once or has to wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer

from scheduler.live import LiveFrame, LiveHeader, unpack_binary
from worker_agent import live_socket
from worker_agent.live import LiveHub

MIB = 2**20


def header(*, lossless: bool = True) -> LiveHeader:
    return LiveHeader(user="ann", job="j", attempt=1, event=1, image_type=1, lossless=lossless)


@contextlib.asynccontextmanager
async def gateway(hub: LiveHub) -> AsyncIterator[ClientWebSocketResponse]:
    """A gateway's end of a live socket, subscribed to ann."""

    async def live(request: web.Request) -> web.StreamResponse:
        return await live_socket.serve(request, hub)

    app = web.Application()
    app.add_routes([web.get("/", live)])
    async with (
        TestClient(TestServer(app, host="127.0.0.1")) as client,
        # large enough for what a test sends, as a gateway's
        client.ws_connect("/", max_msg_size=0) as socket,
    ):
        await socket.send_json({"subscribe": ["ann"]})
        async with asyncio.timeout(10):
            while not hub.is_watched("ann"):
                await asyncio.sleep(0.005)
        yield socket


async def hear(socket: ClientWebSocketResponse, count: int) -> list[Any]:
    """Values of messages, first bytes and sizes of images."""
    found: list[Any] = []
    async with asyncio.timeout(30):
        for _ in range(count):
            received = await socket.receive()
            if received.type is WSMsgType.TEXT:
                frame = msgspec.json.decode(received.data, type=LiveFrame)
                found.append(frame.message and frame.message["data"]["value"])
            else:
                payload = bytes(unpack_binary(received.data)[1])
                found.append((payload[:1], len(payload)))
    return found


def step(hub: LiveHub, value: int) -> None:
    message = {"type": "executing", "data": {"value": value}}
    hub.publish(LiveFrame(user="ann", job="j", attempt=1, message=message))


@pytest.mark.parametrize("size", [0, 10, 125, 126, 2**16 - 1, 2**16, MIB])
async def test_frames_of_every_size_arrive_as_they_were_sent(size: int) -> None:
    hub = LiveHub(lambda: 0.0)
    async with gateway(hub) as socket:
        hub.publish_binary(header(), b"a" * size)
        step(hub, size)
        assert await hear(socket, 2) == [(b"a"[:size], size), size]


async def test_what_waits_for_room_is_not_overtaken() -> None:
    hub = LiveHub(lambda: 0.0)
    async with gateway(hub) as socket:
        sent: list[Any] = []
        for value in range(40):
            step(hub, value)
            # larger than what a socket takes at once
            hub.publish_binary(header(), b"x" * MIB if value % 4 == 0 else b"y")
            sent += [value, (b"x", MIB) if value % 4 == 0 else (b"y", 1)]
            if value % 10 == 9:
                await asyncio.sleep(0.01)
        assert await hear(socket, len(sent)) == sent


async def test_a_gateway_that_does_not_read_is_sent_the_newest_previews_only() -> None:
    hub = LiveHub(lambda: 0.0)
    async with gateway(hub) as socket:
        for number in range(400):
            hub.publish_binary(header(lossless=False), bytes([number % 251]) * (MIB // 8))
        step(hub, 400)
        heard: list[Any] = []
        while heard[-1:] != [400]:
            heard += await hear(socket, 1)
        assert len(heard) < 200
        assert heard[-2] == (bytes([399 % 251]), MIB // 8)


async def test_a_frame_leaves_in_the_turn_in_which_it_was_made() -> None:
    hub = LiveHub(lambda: 0.0)
    async with gateway(hub) as socket:
        (feed,) = hub._feeds
        step(hub, 1)
        assert not feed._entries
        assert await hear(socket, 1) == [1]


class Transport:
    """Notes each call that writes."""

    def __init__(self) -> None:
        self.calls: list[bytes] = []
        self.waiting = 0

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def writelines(self, parts: list[bytes]) -> None:
        self.calls.append(b"".join(parts))


def outlet(transport: Transport, socket: SimpleNamespace) -> live_socket.Outlet:
    return live_socket.Outlet(cast(Any, SimpleNamespace(transport=transport)), cast(Any, socket))


async def test_frames_of_one_turn_are_written_with_one_call() -> None:
    transport = Transport()
    out = outlet(transport, SimpleNamespace(closed=False))
    assert [out.send_now(wire) for wire in ("ab", b"c", "")] == [True] * 3
    assert transport.calls == []
    await asyncio.sleep(0)
    assert out.send_now("d")
    out.flush()
    await asyncio.sleep(0)
    assert transport.calls == [b"\x81\x02ab\x82\x01c\x81\x00", b"\x81\x01d"]


async def test_what_a_full_socket_cannot_take_has_to_wait() -> None:
    transport = Transport()
    out = outlet(transport, SimpleNamespace(closed=False))
    transport.waiting = 2**20
    assert not out.send_now("a")
    transport.waiting = 0
    # also what this turn has made so far counts
    assert out.send_now(b"x" * 2**20)
    assert not out.send_now("a")


async def test_nothing_is_written_after_a_socket_is_closed() -> None:
    transport, socket = Transport(), SimpleNamespace(closed=False)
    out = outlet(transport, socket)
    assert out.send_now("a")
    socket.closed = True
    assert not out.send_now("b")
    await asyncio.sleep(0)
    assert transport.calls == []


async def test_of_a_gateway_that_is_gone_nothing_is_left() -> None:
    hub = LiveHub(lambda: 0.0)
    async with gateway(hub) as socket:
        await socket.close()
        async with asyncio.timeout(10):
            while hub.is_watched("ann"):
                await asyncio.sleep(0.005)
        step(hub, 1)


async def test_a_hub_that_closes_ends_the_socket() -> None:
    hub = LiveHub(lambda: 0.0)
    async with gateway(hub) as socket:
        step(hub, 1)
        hub.close()
        assert await hear(socket, 1) == [1]
        async with asyncio.timeout(10):
            assert (await socket.receive()).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
