"""The agent's HTTP endpoint for gateways (``scheduler.live``), guarded by the cluster token."""

from __future__ import annotations

import asyncio
import contextlib
import hmac

import msgspec
import structlog
from aiohttp import WSMsgType, hdrs, web
from aiohttp.typedefs import Handler, Middleware

from scheduler.fleet import PROTOCOL
from scheduler.live import PROTOCOL_HEADER
from worker_agent.captures import Captures
from worker_agent.files import WorkerFiles
from worker_agent.judge import Judge
from worker_agent.live import Feed, LiveHub
from worker_agent.packs import PackRoutes
from worker_agent.worker_logs import WorkerLogs

_log = structlog.get_logger(__name__)

#: seconds between pings on a gateway's socket; a silent one is dropped after this long
_HEARTBEAT_S = 15.0


class _Subscribe(msgspec.Struct):
    """The one message a gateway sends."""

    subscribe: list[str]
    #: gateways of older versions do not say it
    glance: list[str] = []


def build(
    agent: str,
    version: str,
    token: str,
    hub: LiveHub,
    files: WorkerFiles,
    packs: PackRoutes,
    logs: WorkerLogs,
    judge: Judge,
    captures: Captures,
) -> web.Application:
    """The endpoint as an aiohttp application."""
    guard = _guarded(token)
    app = web.Application(middlewares=[guard])

    async def health(request: web.Request) -> web.StreamResponse:
        return web.json_response({"agent": agent, "version": version, "protocol": PROTOCOL})

    async def live(request: web.Request) -> web.StreamResponse:
        return await _live(request, hub)

    app.add_routes(
        [
            web.get("/v1/health", health),
            web.get("/v1/live", live, allow_head=False),
            web.get("/v1/workers/{worker}/file", files.file),
            web.delete("/v1/workers/{worker}/file", files.delete),
            web.get("/v1/workers/{worker}/place", files.place),
            web.get("/v1/workers/{worker}/log", logs.serve),
            web.get("/v1/workers/{worker}/comfy/{path:.*}", files.page),
            web.post("/v1/workers/{worker}/validate", judge.validate),
            web.get("/v1/workers/{worker}/capture/{id}", captures.serve),
            web.route("*", "/v1/workers/{worker}/pack/{path:.*}", packs.serve),
        ]
    )
    return app


def _guarded(token: str) -> Middleware:
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get(hdrs.AUTHORIZATION, "").encode(errors="surrogateescape")
        if not hmac.compare_digest(given, expected):
            raise web.HTTPUnauthorized(text="the cluster token is missing or wrong")
        spoken = request.headers.get(PROTOCOL_HEADER, str(PROTOCOL))
        if spoken != str(PROTOCOL):
            raise _other_protocol(spoken)
        return await handler(request)

    return guard


def _other_protocol(spoken: str) -> web.HTTPException:
    shown = spoken if spoken.isascii() and spoken.isdigit() and len(spoken) < 6 else "another"
    return web.HTTPPreconditionFailed(
        text=f"this agent speaks protocol {PROTOCOL}, the gateway {shown}: update vramgate on the "
        "older host"
    )


async def _live(request: web.Request, hub: LiveHub) -> web.WebSocketResponse:
    """One gateway's socket: it says whom it watches, we send what happens to them."""
    socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S)
    await socket.prepare(request)
    feed = hub.attach()
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


def _subscribe(hub: LiveHub, feed: Feed, text: str) -> None:
    try:
        wanted = msgspec.json.decode(text, type=_Subscribe)
    except msgspec.DecodeError as error:
        _log.warning("subscription_unreadable", detail=str(error))
        return
    hub.subscribe(feed, frozenset(wanted.subscribe), frozenset(wanted.glance))


async def _send(socket: web.WebSocketResponse, feed: Feed) -> None:
    with contextlib.suppress(ConnectionError):
        while (wire := await feed.get()) is not None:
            if isinstance(wire, str):
                await socket.send_str(wire)
            else:
                await socket.send_bytes(wire)
        # it lagged too far, or we stop: the gateway connects and subscribes anew
        await socket.close()
