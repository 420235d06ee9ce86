"""Uploads whose bytes lie with another gateway: fetched when they are first needed, and kept.

Gateways on one host share a folder. Those on different hosts know the same names (the
store), but each has the bytes of what was sent to it alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiohttp
import structlog
from aiohttp import hdrs

from gateway.agents import Agents
from gateway.blobs import Blobs
from gateway.errors import TooLarge
from scheduler.ledger import LedgerUnavailable
from scheduler.states import InputFile

#: a gateway that is away is no reason to keep a page waiting for long
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=1, sock_read=10)
#: seconds for a picture's size, which a prompt is estimated better with but can do without
_SIZE_S: Final = 2.0
log = structlog.get_logger()


class Peers:
    """Finds the bytes of uploads, here or with the pool's other gateways.

    Args:
        agents: knows the pool, and has its HTTP client and token.
        blobs: the bytes that are here.
        here: this gateway's own URL as it is announced; None while it is not known.
    """

    def __init__(self, agents: Agents, blobs: Blobs, here: Callable[[], str | None]) -> None:
        self.here = here
        self._agents = agents
        self._blobs = blobs
        self._fetching: dict[str, asyncio.Task[Path | None]] = {}

    async def path(self, file: InputFile) -> Path | None:
        """Where the bytes of a user's file lie on this host; None: no gateway has them now."""
        path = await asyncio.to_thread(self._blobs.path, file.sha256)
        if path is not None:
            return path
        task = self._fetching.get(file.sha256)
        if task is None:
            task = asyncio.create_task(self._fetch(file), name="fetch upload")
            self._fetching[file.sha256] = task
            task.add_done_callback(lambda _: self._fetching.pop(file.sha256, None))
        return await asyncio.shield(task)  # others may wait for it too

    async def picture_size(self, file: InputFile) -> tuple[int, int] | None:
        """Width and height of a picture; None: it is none, or not to be had soon."""
        size = await self._blobs.picture_size(file.sha256)
        if size is not None:
            return size
        try:
            async with asyncio.timeout(_SIZE_S):
                found = await self.path(file)
        except TimeoutError:
            return None
        return None if found is None else await self._blobs.picture_size(file.sha256)

    async def close(self) -> None:
        """Stop fetches that are under way."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(self, file: InputFile) -> Path | None:
        try:
            await self._agents.refresh()  # a gateway may have come a moment ago
        except LedgerUnavailable:
            log.info("peers_stale")
        here = self.here()
        urls = {url.rstrip("/") for url in self._agents.pool.gateways.values()}
        for url in sorted(urls - {here}):
            if await self._fetch_from(url, file):
                return await asyncio.to_thread(self._blobs.path, file.sha256)
        return None

    async def _fetch_from(self, url: str, file: InputFile) -> bool:
        where = f"{url}/cluster/v1/inputs/{file.sha256}"
        headers = {**self._agents.headers, hdrs.ACCEPT_ENCODING: "identity"}
        try:
            async with self._agents.session.get(
                where, headers=headers, allow_redirects=False, timeout=_TIMEOUT
            ) as answer:
                if answer.status != 200:
                    return False
                blob = await self._blobs.store(answer.content.iter_any(), file.size_bytes)
        except (aiohttp.ClientError, TimeoutError, OSError, TooLarge) as error:
            log.info("peer_failed", gateway=url, error=repr(error))
            return False
        if blob.sha256 != file.sha256:
            log.warning("peer_sent_other_bytes", gateway=url)
            return False
        log.info("upload_fetched", gateway=url, size_bytes=blob.size_bytes)
        return True
