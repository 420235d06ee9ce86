"""The live page's WebSocket: a snapshot, then what changed, at most twice a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import WSCloseCode, web

from config.settings import Role
from dashboard import shapes
from dashboard.overview import overview
from dashboard.sampler import LIVE_SECONDS, Sampler

Who = Callable[[web.Request], tuple[str, Role]]

#: Pages of one process at most; each costs a view of the pool twice a second.
MAX_PAGES: Final = 256
#: A page connects anew after this long and so passes the gateway's door again: a key that
#: was revoked meanwhile does not watch for ever.
PAGE_SECONDS: Final = 600.0
#: A page that hears nothing for longer than this, twice over, says that it is disconnected.
STILL_SECONDS: Final = 5.0
UNAVAILABLE: Final = "Redis does not answer: the queue is safe, but nothing can be shown just now"


class Live:
    """Serves ``/api/v1/live``. Never more than one unsent message for each page."""

    def __init__(self, sampler: Sampler, who: Who, still_s: float = STILL_SECONDS) -> None:
        self._still_s = still_s
        self._sampler = sampler
        self._who = who
        self._pages: set[web.WebSocketResponse] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One page, until it leaves."""
        user, role = self._who(request)
        if len(self._pages) >= MAX_PAGES:
            raise web.HTTPServiceUnavailable(text="Too many pages are open; close some and reload")
        socket = web.WebSocketResponse(heartbeat=20.0, max_msg_size=1024)
        await socket.prepare(request)
        self._pages.add(socket)
        self._sampler.watchers += 1
        writer = asyncio.create_task(self._write(socket, user, role))
        try:
            # Nothing is expected from a page: reading notices that it left.
            async for _ in socket:
                pass
        finally:
            self._sampler.watchers -= 1
            self._pages.discard(socket)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    async def close(self) -> None:
        """Send all pages away; they come back by themselves."""
        await asyncio.gather(
            *(page.close(code=WSCloseCode.GOING_AWAY) for page in list(self._pages))
        )

    async def _write(self, socket: web.WebSocketResponse, user: str, role: Role) -> None:
        try:
            async with asyncio.timeout(PAGE_SECONDS):
                await self._sampler.refresh()
                seen, anew = self._sampler.version, True
                while True:
                    message = self._message(user, role, anew=anew)
                    await socket.send_json(message)
                    # After a time without figures a page starts anew, curves and all.
                    anew = message["type"] == "unavailable"
                    await asyncio.sleep(LIVE_SECONDS)
                    seen = await self._news(socket, seen)
        except TimeoutError:
            await socket.close(code=WSCloseCode.SERVICE_RESTART)
        except ConnectionError:
            return  # the page left; the reading side ends as well

    async def _news(self, socket: web.WebSocketResponse, seen: int) -> int:
        """Wait for a change; meanwhile show that the connection lives."""
        while True:
            try:
                async with asyncio.timeout(self._still_s):
                    return await self._sampler.changed(seen)
            except TimeoutError:
                still: shapes.Still = {"type": "still"}
                await socket.send_json(still)

    def _message(self, user: str, role: Role, *, anew: bool) -> shapes.Message:
        sample = self._sampler.sample
        if sample is None:
            return {"type": "unavailable", "message": UNAVAILABLE}
        seen = overview(sample, user, role)
        if anew:
            return {"type": "snapshot", "overview": seen, "curves": self._sampler.curves()}
        return {"type": "update", "overview": seen}
