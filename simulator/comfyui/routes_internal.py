"""``/internal/*``: logs, paths and file lists; not available under ``/api``."""

from __future__ import annotations

from aiohttp import web

from simulator.comfyui.edge import read_json, worker_of

ROUTES = web.RouteTableDef()


@ROUTES.get("/internal/logs")
async def _logs(request: web.Request) -> web.Response:
    return web.json_response(worker_of(request).logs.text())


@ROUTES.get("/internal/logs/raw")
async def _raw_logs(request: web.Request) -> web.Response:
    return web.json_response(worker_of(request).logs.raw())


@ROUTES.patch("/internal/logs/subscribe")
async def _subscribe(request: web.Request) -> web.Response:
    body = await read_json(request)
    worker_of(request).logs.subscribe(body["clientId"], bool(body["enabled"]))
    return web.Response()


@ROUTES.get("/internal/folder_paths")
async def _folder_paths(request: web.Request) -> web.Response:
    return web.json_response(worker_of(request).folders.model_paths())


@ROUTES.get("/internal/files/{directory_type}")
async def _file_names(request: web.Request) -> web.Response:
    names = worker_of(request).folders.newest_first(request.match_info["directory_type"])
    if names is None:
        return web.json_response({"error": "Invalid directory type"}, status=400)
    return web.json_response(names)
