"""Routes of node packs, for gateways: they decide who may use which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

from aiohttp import hdrs, web

from config.packs import is_own
from worker_agent.comfy_client import ComfyClient, WorkerUnreachable
from worker_agent.files import bad_gateway, stream

_SENT: Final = (
    hdrs.ACCEPT,
    hdrs.CONTENT_LENGTH,
    hdrs.CONTENT_TYPE,
    hdrs.IF_MODIFIED_SINCE,
    hdrs.IF_NONE_MATCH,
    hdrs.IF_RANGE,
    hdrs.RANGE,
)

FindClient = Callable[[str], ComfyClient | None]


class PackRoutes:
    """The endpoint's handler that sends a request on to one worker."""

    def __init__(self, client_of: FindClient) -> None:
        """Serve the workers that ``client_of`` knows (None: no such worker here)."""
        self._client_of = client_of

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """``* /v1/workers/{worker}/pack/{path}``: never ComfyUI's own routes."""
        client = self._client_of(request.match_info["worker"])
        if client is None:
            raise web.HTTPNotFound(text="no such worker at this agent")
        raw = request.rel_url.raw_path.split("/pack/", 1)[1]
        path = "/" + unquote(raw)
        parts = path.split("/")
        if ".." in parts or "." in parts or "\\" in path or is_own(path):
            raise web.HTTPForbidden(text="this path of a worker is no node pack's")
        headers = {str(name): request.headers[name] for name in _SENT if name in request.headers}
        headers[hdrs.ACCEPT_ENCODING] = "identity"
        asked = client.ask(
            request.method,
            raw,
            request.rel_url.raw_query_string,
            headers,
            request.content if request.body_exists else None,
        )
        try:
            return await stream(request, asked)
        except WorkerUnreachable as error:
            raise bad_gateway(error) from error
