"""Clients that send nonsense or never read: cut off, and felt by nobody else."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.outbox import Frame
from tests.integration.gateway_prompt.stage import Stage, Tab, remaining


class Raw:
    """A client that writes what bytes it likes, and reads only when told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, head: bytes, payload: bytes = b"") -> None:
        """One masked frame; ``head`` is its first byte, or all up to the mask."""
        if len(head) == 1:
            head += bytes([0x80 | len(payload)])
        self.writer.write(head + b"\0\0\0\0" + payload)
        await self.writer.drain()

    async def until_cut(self) -> bytes:
        """Everything up to the end of the connection."""
        async with asyncio.timeout(30):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@asynccontextmanager
async def raw(stage: Stage, user: str = "ann", *, deflates: bool = False) -> AsyncIterator[Raw]:
    """A socket opened by hand, with small buffers, handshake read."""
    server = stage.client.server
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=2**12)
    key = base64.b64encode(b"0123456789abcdef").decode()
    offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflates else ""
    writer.write(
        f"GET /ws?clientId=raw HTTP/1.1\r\nHost: x\r\nX-Test-User: {user}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        f"{offer}\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    await stage.until(lambda: stage.services.hub.hears(user, "raw"))
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


async def still_served(stage: Stage, tab: Tab) -> None:
    await stage.queue("bob")
    assert remaining(await tab.next()) >= 1


@pytest.mark.parametrize(
    "head",
    [
        b"\xf1",  # bits that mean nothing
        b"\xc1",  # deflated, though nobody agreed to that
        b"\x83",  # an opcode that is none
        b"\x80",  # goes on with a message that never began
        b"\x09",  # a ping in pieces
        b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff",  # 8 EiB will follow
        b"\x88\x81",  # a close of half a code
    ],
)
async def test_what_is_no_websocket_closes_its_own_connection(stage: Stage, head: bytes) -> None:
    async with stage.tab("bob") as tab, raw(stage) as client:
        await client.send(head, b"x")
        await client.until_cut()
        await stage.until(lambda: not stage.services.hub.hears("ann", "raw"))
        await still_served(stage, tab)


@pytest.mark.parametrize("payload", [b"\xff\xff\xff", b"\x4b\x4c\x04\x04\x00", b"\x00"])
async def test_what_cannot_be_inflated_closes_its_own_connection(
    stage: Stage, payload: bytes
) -> None:
    async with stage.tab("bob") as tab, raw(stage, deflates=True) as client:
        await client.send(b"\xc1", payload)
        await client.send(b"\xc1", b"\xff\xff\xff")
        await client.until_cut()
        await stage.until(lambda: not stage.services.hub.hears("ann", "raw"))
        await still_served(stage, tab)


async def test_text_that_is_no_utf8_closes_its_own_connection(stage: Stage) -> None:
    async with stage.tab("bob") as tab, raw(stage) as client:
        await client.send(b"\x81", b"\xff\xfe")
        await client.until_cut()
        await still_served(stage, tab)


async def test_a_client_that_never_reads_does_not_outlive_our_close(stage: Stage) -> None:
    async with raw(stage) as client:
        (socket,) = stage.services.hub.sockets
        for _ in range(16):
            socket.outbox.put(Frame(b"x" * 2**20, binary=True))
        await stage.until(lambda: socket.outbox.waiting < 16)
        socket.close()
        # sooner than aiohttp by itself gives up on a close
        async with asyncio.timeout(5):
            await stage.until(lambda: not stage.services.hub.sockets)
        assert await client.until_cut()


async def test_thousands_of_messages_are_read_and_mean_nothing(stage: Stage) -> None:
    async with stage.tab() as tab:
        for number in range(3000):
            await tab.socket.send_str('{"type": "executing", "data": {"node": null}}')
            if number % 100 == 0:
                await tab.socket.send_bytes(b"\0\0\0\1")
        await stage.queue()
        assert remaining(await tab.next()) == 1
        assert await tab.silent()
