"""What agents ask of a gateway, guarded by the cluster's token."""

from __future__ import annotations

import asyncio
import hmac
from typing import Final

from aiohttp import hdrs, web

from gateway.blob_response import serve_blob
from gateway.context import services
from gateway.errors import Unauthorized

CLUSTER_TOKEN: Final[web.AppKey[str]] = web.AppKey("cluster_token", str)


def routes() -> list[web.RouteDef]:
    """``/cluster/v1/…``."""
    return [web.get("/cluster/v1/inputs/{sha256}", read_input)]


async def read_input(request: web.Request) -> web.StreamResponse:
    """Bytes of an uploaded file by their SHA-256; Range and conditions as for any file."""
    _check(request)
    digest = request.match_info["sha256"]
    path = await asyncio.to_thread(services(request).blobs.path, digest)
    if path is None:
        return web.Response(status=404)
    headers = {"Content-Type": "application/octet-stream"}
    return serve_blob(request, path, digest, headers)


def _check(request: web.Request) -> None:
    shown = request.headers.get(hdrs.AUTHORIZATION, "")
    wanted = f"Bearer {request.app[CLUSTER_TOKEN]}"
    if not hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), wanted.encode()):
        raise Unauthorized("The cluster token is needed here; it is in cluster.token_file.")
