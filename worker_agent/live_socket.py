"""One gateway's live socket: what its feed gets leaves at once while the gateway keeps up.

A frame that a task has to be woken for costs more than all else that is done with it, and there
are some with each step of each sampler. So it is written at the end of the turn of the event loop
that made it, and waits in the feed only while the socket's own buffer is full.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import msgspec
import structlog
from aiohttp import WSMsgType, web

from worker_agent.live import Feed, LiveHub, Wire

_log = structlog.get_logger(__name__)

#: seconds between pings on a gateway's socket; a silent one is dropped after this long
_HEARTBEAT_S: Final = 15.0
#: bytes that may wait in the socket's own buffer before frames wait in the feed, where newer ones
#: replace older ones: as many as asyncio lets wait before it asks writers to pause
_BUFFERED: Final = 64 * 2**10
#: first bytes of a message in one frame (RFC 6455, 5.2)
_TEXT: Final = 0x81
_BINARY: Final = 0x82


class _Subscribe(msgspec.Struct):
    """The one message a gateway sends."""

    subscribe: list[str]
    #: gateways of older versions do not say it
    glance: list[str] = []


async def serve(request: web.Request, hub: LiveHub) -> web.WebSocketResponse:
    """Until it closes: it says whom it watches, we send what happens to them."""
    # compressed frames would be made by a task, and others would overtake them
    socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, compress=False)
    await socket.prepare(request)
    feed = hub.attach()
    outlet = Outlet(request, socket)
    feed.send_now = outlet.send_now
    sending = asyncio.create_task(_send(socket, feed, outlet))
    _log.info("gateway_connected", peer=request.remote)
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                _subscribe(hub, feed, message.data)
    finally:
        hub.detach(feed)
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        _log.info("gateway_disconnected", peer=request.remote)
    return socket


def head_of(first: int, size: int) -> bytes:
    """What a message in one frame begins with as a server sends it: not masked (RFC 6455, 5.2)."""
    if size < 126:
        return bytes((first, size))
    if size < 2**16:
        return bytes((first, 126)) + size.to_bytes(2, "big")
    return bytes((first, 127)) + size.to_bytes(8, "big")


class Outlet:
    """Writes frames of one turn of the event loop together, at its end: one call for all."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        """Write to ``socket``, which answers ``request``."""
        self._request = request
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        #: heads and payloads of frames, and their bytes
        self._parts: list[bytes] = []
        self._bytes = 0

    def send_now(self, wire: Wire) -> bool:
        """Take a frame; False: it has to wait in the feed."""
        transport = self._request.transport
        if transport is None or transport.is_closing() or self._socket.closed:
            return False  # the task that sends finds out how it ended
        if transport.get_write_buffer_size() + self._bytes > _BUFFERED:
            return False
        first, payload = (_TEXT, wire.encode()) if isinstance(wire, str) else (_BINARY, wire)
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts += (head_of(first, len(payload)), payload)
        self._bytes += len(payload)
        return True

    def flush(self) -> None:
        """Write what was taken, before anything else is written."""
        transport = self._request.transport
        # the server library writes whole frames as well, so that the two do not mix
        parts, self._parts, self._bytes = self._parts, [], 0
        if not parts or transport is None or transport.is_closing() or self._socket.closed:
            return
        transport.writelines(parts)


def _subscribe(hub: LiveHub, feed: Feed, text: str) -> None:
    try:
        wanted = msgspec.json.decode(text, type=_Subscribe)
    except msgspec.DecodeError as error:
        _log.warning("subscription_unreadable", detail=str(error))
        return
    hub.subscribe(feed, frozenset(wanted.subscribe), frozenset(wanted.glance))


async def _send(socket: web.WebSocketResponse, feed: Feed, outlet: Outlet) -> None:
    """Send what had to wait, after what had not."""
    with contextlib.suppress(ConnectionError):
        while (wire := await feed.get()) is not None:
            outlet.flush()
            if isinstance(wire, str):
                await socket.send_str(wire)
            else:
                await socket.send_bytes(wire)
        outlet.flush()
        # it lagged too far, or we stop: the gateway connects and subscribes anew
        await socket.close()
