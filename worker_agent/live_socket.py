"""One gateway's live socket: what its feed gets leaves at once while the gateway keeps up.

A frame that a task has to be woken for costs more than all else that is done with it, and there
are some with each step of each sampler. So it is written where it is made, and waits in the feed
only while the socket's own buffer is full.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
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
    feed.send_now = _sender(request, socket)
    sending = asyncio.create_task(_send(socket, feed))
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


def framed(wire: Wire) -> bytes:
    """A message as a server sends it: whole, in one frame, not masked (RFC 6455, 5.2)."""
    first, payload = (_TEXT, wire.encode()) if isinstance(wire, str) else (_BINARY, wire)
    size = len(payload)
    if size < 126:
        head = bytes((first, size))
    elif size < 2**16:
        head = bytes((first, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 127)) + size.to_bytes(8, "big")
    return head + payload


def _sender(request: web.Request, socket: web.WebSocketResponse) -> Callable[[Wire], bool]:
    def send_now(wire: Wire) -> bool:
        transport = request.transport
        if transport is None or transport.is_closing() or socket.closed:
            return False  # the task that sends finds out how it ended
        if transport.get_write_buffer_size() > _BUFFERED:
            return False
        # the server library writes whole frames as well, so that the two do not mix
        transport.write(framed(wire))
        return True

    return send_now


def _subscribe(hub: LiveHub, feed: Feed, text: str) -> None:
    try:
        wanted = msgspec.json.decode(text, type=_Subscribe)
    except msgspec.DecodeError as error:
        _log.warning("subscription_unreadable", detail=str(error))
        return
    hub.subscribe(feed, frozenset(wanted.subscribe), frozenset(wanted.glance))


async def _send(socket: web.WebSocketResponse, feed: Feed) -> None:
    """Send what had to wait."""
    with contextlib.suppress(ConnectionError):
        while (wire := await feed.get()) is not None:
            if isinstance(wire, str):
                await socket.send_str(wire)
            else:
                await socket.send_bytes(wire)
        # it lagged too far, or we stop: the gateway connects and subscribes anew
        await socket.close()
