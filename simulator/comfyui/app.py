"""The simulated worker as an aiohttp application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import cast

from aiohttp import web

from simulator.comfyui import (
    routes_info,
    routes_internal,
    routes_prompt,
    routes_upload,
    routes_user,
    routes_view,
)
from simulator.comfyui.edge import WORKER, protocol, worker_of
from simulator.comfyui.options import WorkerOptions
from simulator.comfyui.probe import SimulatedProbe
from simulator.comfyui.websocket import FEATURES
from simulator.comfyui.worker import Worker

_PUBLIC = (
    routes_prompt.ROUTES,
    routes_info.ROUTES,
    routes_view.ROUTES,
    routes_upload.ROUTES,
    routes_user.ROUTES,
)


def build_app(options: WorkerOptions) -> web.Application:
    """A ComfyUI 0.3.64 stand-in.

    It offers the real server's routes, bare and under ``/api``, but no frontend:
    ``GET /`` is 404. The worker opens its GPU when the application starts.

    Args:
        options: Where its files and its GPU are, and how fast time passes.
    """
    app = web.Application(middlewares=[protocol], client_max_size=int(FEATURES["max_upload_size"]))
    probe = SimulatedProbe(options.probe) if options.probe.token else None
    app.cleanup_ctx.append(_worker(options, probe))
    app.on_shutdown.append(_close_sockets)
    app.router.add_get("/ws", _socket)
    app.router.add_get("/api/ws", _socket)
    for table in _PUBLIC:
        app.router.add_routes(table)
        app.router.add_routes([_under_api(route) for route in table])
    app.router.add_routes(routes_internal.ROUTES)
    if probe is not None:
        app.router.add_routes(probe.routes())
    return app


def _under_api(route: web.AbstractRouteDef) -> web.AbstractRouteDef:
    # Decorated handlers are all of this one kind.
    plain = cast(web.RouteDef, route)
    return web.RouteDef(plain.method, f"/api{plain.path}", plain.handler, plain.kwargs)


def _worker(
    options: WorkerOptions, probe: SimulatedProbe | None
) -> Callable[[web.Application], AsyncIterator[None]]:
    async def lifetime(app: web.Application) -> AsyncIterator[None]:
        worker = Worker(options)
        app[WORKER] = worker
        tasks = [asyncio.create_task(worker.serve()), asyncio.create_task(worker.hub.publish())]
        if probe is not None:
            tasks += probe.watch(worker)
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await worker.close()

    return lifetime


async def _close_sockets(app: web.Application) -> None:
    # Before the server waits for its handlers: those of sockets would never end.
    await app[WORKER].hub.close()


async def _socket(request: web.Request) -> web.WebSocketResponse:
    return await worker_of(request).hub.serve(request)
