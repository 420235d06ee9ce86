"""``/ws``: one client's WebSocket, from handshake to close.

As ComfyUI's: the first frame is ``status`` with the client's id, the client may
say once, and only first, what it understands. Unlike ComfyUI's: several sockets
of one client id all hear everything, idle sockets are pinged, and a socket that
does not read is cut off instead of filling memory. Long texts are deflated for
clients that can inflate them (``gateway.deflate``).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket as socket_module
from typing import Any, Final
from uuid import UUID

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from gateway import frames
from gateway.context import Credential, Services, has_identity, identity, services
from gateway.deflate import DeflatingResponse
from gateway.errors import BadRequest
from gateway.hub import MAX_CLIENT_ID, ClientSocket
from gateway.json_body import NotJson, read_json
from gateway.outbox import Outbox
from gateway.source import source
from gateway.waiting_room import WAITING_ROOM, Guest
from scheduler.ledger import LedgerUnavailable

#: seconds between pings, below the minute after which middleboxes forget a connection; a
#: client gets half of it to answer
_HEARTBEAT_S: Final = 40.0
#: bytes that the system may hold for one client. A ping waits behind them: more would make a
#: slow line look like a dead one (this much takes a line of 16 KB/s those twenty seconds)
_SEND_BUFFER: Final = 256 * 1024
#: seconds that a client gets to answer our close; then the connection ends anyway
_CLOSE_S: Final = 1.0
#: the same, for one that is so far behind that our close does not reach it
_GOODBYE_S: Final = 2.0
#: seconds that a client waits for a gateway that has just been started
_FOLLOWED_S: Final = 5.0
#: the only message that means anything is small
_MAX_MESSAGE_BYTES: Final = 2**20

#: whose a socket is that waits for its user: no user's name
_NOBODY: Final = ""

_log = structlog.get_logger()


async def handle(request: web.Request) -> web.WebSocketResponse:
    """Serve one client until it goes.

    Raises:
        BadRequest: the client's id is longer than ``MAX_CLIENT_ID``.
    """
    found = services(request)
    client_id = request.query.get("clientId") or UUID(found.new_id()).hex
    if len(client_id) > MAX_CLIENT_ID:
        raise BadRequest(f"clientId may have {MAX_CLIENT_ID} characters; use a shorter one.")
    # before the client may post a prompt whose frames it would miss while it waits
    followed = await _is_followed(request, found)
    response = DeflatingResponse(
        heartbeat=_HEARTBEAT_S, max_msg_size=_MAX_MESSAGE_BYTES, timeout=_CLOSE_S
    )
    await response.prepare(request)
    _bound_buffer(request)
    if not followed:
        await response.close(code=WSCloseCode.TRY_AGAIN_LATER)
        return response
    socket = _make(request, response, client_id)
    guest = _as_guest(request, socket, found)
    try:
        if guest is not None:
            await request.app[WAITING_ROOM].enter(guest)
        if has_identity(request):
            who = identity(request)
            _join(socket, found, who.user, who.key)
        await _serve(response, socket, found)
    finally:
        found.hub.leave(socket)
        if request.transport is not None and request.transport.get_write_buffer_size():
            # a silent client: nobody will read what is left, and it would be kept for ever
            _abort(request)
        if guest is not None:
            request.app[WAITING_ROOM].leave(guest)
    return response


async def _is_followed(request: web.Request, found: Services) -> bool:
    """Wait until no end can be missed or told twice; False: the ledger is away."""
    try:
        async with asyncio.timeout(_FOLLOWED_S):
            if found.peers.here() is not None:  # else it is announced to nobody
                await found.hub.announced.wait()
            await found.hub.followed.wait()
            if has_identity(request):
                await found.hub.past_is_shown(identity(request).user)
    except (TimeoutError, LedgerUnavailable):
        return False
    return True


def _bound_buffer(request: web.Request) -> None:
    transport = request.transport
    line = None if transport is None else transport.get_extra_info("socket")
    if line is not None:
        line.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_SNDBUF, _SEND_BUFFER)


def _make(request: web.Request, response: DeflatingResponse, client_id: str) -> ClientSocket:
    """The socket, nobody's yet."""
    closing: set[asyncio.Task[Any]] = set()

    def cut() -> None:
        _log.warning("client_too_slow", user=socket.user, client_id=client_id)
        _abort(request)

    def close() -> None:
        task = asyncio.create_task(_say_goodbye(request, response))
        closing.add(task)
        task.add_done_callback(closing.discard)

    socket = ClientSocket(_NOBODY, client_id, Outbox(response, cut), close=close)
    return socket


async def _say_goodbye(request: web.Request, response: DeflatingResponse) -> None:
    """Close, and cut the connection of a client that does not even read that."""
    try:
        async with asyncio.timeout(_GOODBYE_S):
            await response.close(code=WSCloseCode.GOING_AWAY)
    except TimeoutError:
        _abort(request)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _join(socket: ClientSocket, found: Services, user: str, key: str) -> None:
    """Make the socket this user's; from here on its frames queue up."""
    socket.user, socket.key = user, key
    found.hub.join(socket)
    if socket.layout is not None:  # declared while it waited for its user
        found.hub.declare(socket, socket.layout)


def _as_guest(request: web.Request, socket: ClientSocket, found: Services) -> Guest | None:
    """The socket as one that lives on a ticket, or waits for one (``gateway.waiting_room``)."""
    who = identity(request) if has_identity(request) else None
    if who is not None and who.credential is not Credential.TICKET:
        return None
    return Guest(
        address=source(request).address,
        client_id=socket.client_id,
        take=lambda user, key: _join(socket, found, user, key),
        close=socket.close,
        user="" if who is None else who.user,
        key="" if who is None else who.key,
    )


async def _serve(response: web.WebSocketResponse, socket: ClientSocket, found: Services) -> None:
    try:
        # asked after joining: what changes from now on follows as a frame of its own
        remaining = await found.ledger.remaining(socket.user) if socket.user else 0
    except LedgerUnavailable:
        await response.close(code=WSCloseCode.TRY_AGAIN_LATER)
        return
    socket.outbox.put_first(frames.status(remaining, socket.client_id))
    sender = asyncio.create_task(socket.outbox.run())
    try:
        await _listen(response, socket, found)
    finally:
        sender.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await sender


async def _listen(response: web.WebSocketResponse, socket: ClientSocket, found: Services) -> None:
    """Read until the client goes; its first message may say what it understands."""
    first = True
    async for message in response:
        if not first or message.type is not WSMsgType.TEXT:
            continue
        told = _message(message.data)
        if told is None:
            continue
        first = False
        if told.get("type") == "feature_flags":
            flags = told.get("data")
            layout = frames.layout(flags if isinstance(flags, dict) else {})
            limit = found.settings().gateway.max_body
            socket.outbox.put(frames.feature_flags(limit, layout))
            found.hub.declare(socket, layout)


def _message(text: str) -> dict[str, Any] | None:
    """What a client says; None: nothing that ComfyUI would read either."""
    try:
        message = read_json(text)
    except NotJson:
        return None
    return message if isinstance(message, dict) else None
