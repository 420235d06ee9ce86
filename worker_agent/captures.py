"""Small pictures of what nodes handed on, out of the probe's keeping, for gateways."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from aiohttp import web

from worker_agent.comfy_client import WorkerUnreachable
from worker_agent.files import bad_gateway
from worker_agent.probe_client import ProbeClient, ProbeFailed

#: as the probe mints them
_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")


class Captures:
    """The endpoint's handler."""

    def __init__(self, probe_of: Callable[[str], ProbeClient | None]) -> None:
        """Ask the probes that ``probe_of`` knows (None: no such worker here, or it has none)."""
        self._probe_of = probe_of

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """``GET /v1/workers/{worker}/capture/{id}``: a JPEG; 404: it is not there (any more)."""
        probe, picture = self._probe_of(request.match_info["worker"]), request.match_info["id"]
        if probe is None or not _ID.fullmatch(picture):
            raise web.HTTPNotFound(text="no such preview")
        try:
            found = await probe.capture(picture)
        except WorkerUnreachable as error:
            raise bad_gateway(error) from error
        except ProbeFailed as error:
            raise web.HTTPBadGateway(text=str(error)) from error
        if found is None:
            raise web.HTTPNotFound(text="no such preview (any more)")
        return web.Response(body=found, content_type="image/jpeg")
