"""The one upstream socket of a worker, opened again whenever it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp
import structlog

from worker_agent.comfy_client import ComfyClient, WorkerUnreachable
from worker_agent.frames import Frame, Message, parse_binary, parse_text

_log = structlog.get_logger(__name__)

#: seconds before a broken socket is opened again. Long enough for the worker
#: to see the old one close: with the same sid 0.3.64 would else drop both.
REOPEN_S: Final = 0.5
_TEXT: Final = aiohttp.WSMsgType.TEXT
_BINARY: Final = aiohttp.WSMsgType.BINARY
_OVER: Final = frozenset(
    {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}
)


class Link:
    """Keeps a socket to one worker and hands every frame on, in order."""

    def __init__(
        self,
        worker: str,
        client: Callable[[], ComfyClient],
        new_id: Callable[[], str],
        on_frame: Callable[[Frame], None],
    ) -> None:
        self._worker = worker
        self._client = client
        self._new_id = new_id
        self._on_frame = on_frame
        self._pinned = False
        #: client_id of this socket; prompts are posted with it
        self.sid = new_id()
        self.connected = asyncio.Event()
        #: times the socket was opened
        self.opened = 0
        #: the worker sends previews as event 4, so that event 1 is a result
        self.previews_with_metadata = False

    def pin(self, sid: str | None = None) -> None:
        """Keep the sid over reconnects while a prompt runs under it."""
        self._pinned = True
        if sid is not None:
            self.sid = sid

    def unpin(self) -> None:
        """The next reconnect may take a fresh sid."""
        self._pinned = False

    async def run(self) -> None:
        """Open, read, reopen; ends by cancellation."""
        while True:
            try:
                await self._follow()
            except WorkerUnreachable as error:
                _log.debug("worker_socket_failed", worker=self._worker, detail=str(error))
            finally:
                self.connected.clear()
            await asyncio.sleep(REOPEN_S)
            if not self._pinned:
                self.sid = self._new_id()

    async def _follow(self) -> None:
        async with self._client().socket(self.sid) as socket:
            self.previews_with_metadata = False
            self.opened += 1
            self.connected.set()
            _log.info("worker_socket_open", worker=self._worker)
            # not ``async for``, which makes another coroutine for each frame
            while (received := await socket.receive()).type not in _OVER:
                self._take(received)
        _log.info("worker_socket_closed", worker=self._worker)

    def _take(self, received: aiohttp.WSMessage) -> None:
        frame: Frame | None = None
        if received.type is _TEXT:
            frame = parse_text(received.data)
        elif received.type is _BINARY:
            frame = parse_binary(received.data)
        if frame is None:
            return
        if isinstance(frame, Message) and frame.type == "feature_flags":
            flags = frame.data if isinstance(frame.data, dict) else {}
            self.previews_with_metadata = bool(flags.get("supports_preview_metadata"))
        self._on_frame(frame)
