"""What all routes share: where the worker is, ComfyUI's odd answers, the origin check."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from simulator.comfyui.worker import Worker

WORKER = web.AppKey("worker", Worker)


def worker_of(request: web.Request) -> Worker:
    """The worker that this application is."""
    return request.config_dict[WORKER]


class ServerTrouble(web.HTTPInternalServerError):
    """What a client gets where ComfyUI's handler raises."""

    def __init__(self) -> None:
        super().__init__(text="500 Internal Server Error\n\nServer got itself in trouble")


async def read_json(request: web.Request) -> Any:
    """The body, whatever its content type says.

    Raises:
        ServerTrouble: It is no JSON.
    """
    try:
        return await request.json()
    except ValueError as error:
        raise ServerTrouble from error


def missing() -> web.Response:
    """The 404 of an unknown path: the static handler's, without text."""
    return web.Response(status=404, headers={"Content-Type": "application/octet-stream"})


@web.middleware
async def protocol(request: web.Request, handler: Handler) -> web.StreamResponse:
    """OPTIONS, foreign origins and unknown paths, before any route."""
    if request.method == "OPTIONS":
        return web.Response()
    if _is_foreign(request):
        return web.Response(status=403)
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return missing()
    except web.HTTPForbidden:
        return web.Response(status=403)


def _is_foreign(request: web.Request) -> bool:
    host, origin = request.headers.get("Host"), request.headers.get("Origin")
    if host is None or origin is None:
        return False
    own, other = urlsplit(f"//{host.lower()}"), urlsplit(origin.lower())
    if not other.netloc or not _is_loopback(own.hostname):
        return False
    # An origin without a port is compared with the host's name alone.
    return other.netloc != (own.hostname if other.port is None else own.netloc)


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
