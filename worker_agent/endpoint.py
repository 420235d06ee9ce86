"""The agent's HTTP endpoint for gateways (``scheduler.live``), guarded by the cluster token."""

from __future__ import annotations

import hmac

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from scheduler.fleet import PROTOCOL
from scheduler.live import PROTOCOL_HEADER
from worker_agent import live_socket
from worker_agent.captures import Captures
from worker_agent.files import WorkerFiles
from worker_agent.judge import Judge
from worker_agent.live import LiveHub
from worker_agent.packs import PackRoutes
from worker_agent.worker_logs import WorkerLogs


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
        return await live_socket.serve(request, hub)

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
