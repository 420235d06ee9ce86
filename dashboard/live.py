"""A live page's WebSocket: everything once, then what changes, at most twice a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from aiohttp import WSCloseCode, web

from config.settings import Role
from dashboard.board import Board, View
from dashboard.progress import NoProgress, Progress
from dashboard.sampler import LIVE_SECONDS, Sampler

_log = structlog.get_logger()
Who = Callable[[web.Request], tuple[str, Role]]

#: Pages of one process at most; each costs a message at every change.
MAX_PAGES: Final = 1024
#: Of one person at most, so that nobody shuts out all others; a studio's wall screens share a name.
PAGES_OF_ONE: Final = 256
#: A page connects anew after this long and so passes the gateway's door again: a key that
#: was revoked meanwhile does not watch for ever.
PAGE_SECONDS: Final = 600.0
#: A page that hears nothing for longer than this, twice over, says that it is disconnected.
STILL_SECONDS: Final = 5.0
UNAVAILABLE: Final = "Redis does not answer: the queue is safe, but nothing can be shown just now"
_STILL: Final = '{"type":"still"}'


class Live:
    """Serves ``/api/v1/live``. Never more than one unsent message for each page."""

    def __init__(
        self,
        sampler: Sampler,
        who: Who,
        still_s: float = STILL_SECONDS,
        progress: Progress | None = None,
        most_of_one: int = PAGES_OF_ONE,
    ) -> None:
        """``still_s``: see ``STILL_SECONDS``; ``most_of_one``: pages of one person."""
        self._most_of_one = most_of_one
        self._still_s = still_s
        self._sampler = sampler
        self._who = who
        self._progress = progress or NoProgress()
        self._board = Board(sampler, time.monotonic)
        sampler.on_sample(self._follow)
        #: socket → whose
        self._pages: dict[web.WebSocketResponse, str] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One page, until it leaves."""
        user, role = self._who(request)
        own = sum(name == user for name in self._pages.values())
        if len(self._pages) >= MAX_PAGES or own >= self._most_of_one:
            raise web.HTTPServiceUnavailable(text="Too many pages are open; close some and reload")
        # no compression: a page's messages are small, and it would cost more than they do
        socket = web.WebSocketResponse(heartbeat=20.0, max_msg_size=1024, compress=False)
        await socket.prepare(request)
        self._pages[socket] = user
        self._sampler.watchers += 1
        view = self._board.open(user, role)
        writer = asyncio.create_task(self._write(_Page(socket, view, _had(request, view))))
        try:
            # Nothing is expected from a page: reading notices that it left.
            async for _ in socket:
                pass
        finally:
            self._sampler.watchers -= 1
            self._pages.pop(socket, None)
            self._board.close(view)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    async def close(self) -> None:
        """Send all pages away; they come back by themselves."""
        await asyncio.gather(
            *(page.close(code=WSCloseCode.GOING_AWAY) for page in list(self._pages))
        )

    def _follow(self) -> None:
        """Hear of the running jobs of those who look, and for admins of everybody's."""
        views = self._board.watched()
        users = {view.rows.user for view in views}
        sample = self._sampler.sample
        if sample is not None and any(view.rows.sees_all for view in views):
            users |= {job.user for job in sample.running}
        self._progress.follow(frozenset(users))

    async def _write(self, page: _Page) -> None:
        try:
            async with asyncio.timeout(PAGE_SECONDS):
                await self._sampler.refresh()
                if page.version is not None:
                    await page.send(_STILL)  # who comes back is live again at once
                while True:
                    seen = self._sampler.version
                    await self._tell(page)
                    if _now() - page.sent_at >= self._still_s:
                        await page.send(_STILL)  # all that changes is others'
                    await asyncio.sleep(LIVE_SECONDS)
                    await self._news(page, seen)
        except TimeoutError:
            await page.socket.close(code=WSCloseCode.SERVICE_RESTART)
        except ConnectionError:
            return  # the page left; the reading side ends as well
        except Exception:
            # a page that hears no more and keeps its line would show old figures for ever
            _log.exception("live_page_broken", user=page.view.rows.user)
            await page.socket.close(code=WSCloseCode.INTERNAL_ERROR)

    async def _tell(self, page: _Page) -> None:
        """Send what the page does not have, if there is anything."""
        view = page.view
        if self._sampler.sample is None:
            rows = view.rows
            told = {"type": "unavailable", "user": rows.user, "role": rows.role.value}
            told["message"] = UNAVAILABLE
            await page.send(msgspec.json.encode(told).decode())
            # after a time without figures a page starts anew, curves and all
            page.version = None
            return
        view.advance()
        if page.version != view.version:
            # taken before it is sent: the view may go on meanwhile
            version, had = view.version, page.version
            await page.send(view.snapshot() if had is None else view.since(had))
            page.version = version

    async def _news(self, page: _Page, seen: int) -> None:
        """Wait for a change, which may be none for this page; show that the connection lives."""
        while True:
            try:
                async with asyncio.timeout(max(0.0, page.sent_at + self._still_s - _now())):
                    await self._sampler.changed(seen)
                    return
            except TimeoutError:
                await page.send(_STILL)


@dataclass(slots=True)
class _Page:
    """One open page."""

    socket: web.WebSocketResponse
    view: View
    #: what it shows; None: nothing yet
    version: int | None
    #: the event loop's time
    sent_at: float = 0.0

    async def send(self, text: str) -> None:
        """Send a message."""
        await self.socket.send_str(text)
        self.sent_at = _now()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _had(request: web.Request, view: View) -> int | None:
    """The version that a page has which comes back; None: none that is known here."""
    version = request.query.get("version", "")
    if request.query.get("life") != view.life or not (version.isascii() and version.isdigit()):
        return None
    return int(version) if 0 < int(version) <= view.version else None
