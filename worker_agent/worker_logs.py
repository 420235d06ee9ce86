"""Hands out the end of a worker's log, without people's texts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from worker_agent.worker_log import MOST_LINES, tail

_LINES: Final = 200


class WorkerLogs:
    """The endpoint's handler for logs."""

    def __init__(self, log_of: Callable[[str], Path | None]) -> None:
        """Serve the workers that ``log_of`` knows (None: not started here)."""
        self._log_of = log_of

    async def serve(self, request: web.Request) -> web.Response:
        """``GET /v1/workers/{worker}/log?tail=LINES``: plain text; 404: not started here."""
        path = self._log_of(request.match_info["worker"])
        if path is None:
            raise web.HTTPNotFound(text="this agent did not start that worker: it has no log of it")
        asked = request.query.get("tail", str(_LINES))
        if not (asked.isascii() and asked.isdigit()):
            raise web.HTTPBadRequest(text=f"tail is a number of lines, at most {MOST_LINES}")
        # longer numbers cost time to read, and mean the same
        lines = await asyncio.to_thread(tail, path, int(asked[:6]))
        return web.Response(text="".join(f"{line}\n" for line in lines))
