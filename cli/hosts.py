"""Files on agents' hosts as upkeep reaches them: sizes, bytes, and orders to delete."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import aiohttp
from aiohttp import hdrs

from scheduler.ledger import FileRecord, Pool

_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=60.0)
_CHUNK: Final = 256 * 1024


class HostAway(Exception):
    """The host that holds a file does not answer: try again later."""


class Hosts:
    """The agents' endpoints. An async context."""

    def __init__(self, pool: Pool, token: str, tls: ssl.SSLContext | None = None) -> None:
        self._pool = pool
        self._session = aiohttp.ClientSession(
            headers={hdrs.AUTHORIZATION: f"Bearer {token}"},
            connector=aiohttp.TCPConnector(ssl=tls or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=_TIMEOUT,
        )

    async def __aenter__(self) -> Hosts:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def size(self, record: FileRecord) -> int | None:
        """Bytes of a file; None: it is gone. Raises HostAway."""
        async with self._asked("HEAD", record) as answer:
            return answer.content_length if _is_there(answer) else None

    async def delete(self, record: FileRecord) -> bool:
        """Delete a file. False: its host cannot (it does not see that worker's folders).

        Raises:
            HostAway: nobody knows; ask again.
        """
        async with self._asked("DELETE", record) as answer:
            if answer.status in (204, 404):
                return True
            if answer.status in (403, 405):
                return False
            raise HostAway(f"agent {record.agent} answered {answer.status}")

    async def fetch(self, record: FileRecord, to: Path) -> bool:
        """Write a file's bytes; False: it is gone.

        Raises:
            HostAway: not all of it came.
            OSError: it cannot be written.
        """
        async with self._asked("GET", record) as answer:
            if not _is_there(answer):
                return False
            with to.open("wb") as file:
                try:
                    async for chunk in answer.content.iter_chunked(_CHUNK):
                        file.write(chunk)
                except (aiohttp.ClientError, TimeoutError) as error:
                    raise HostAway(f"agent {record.agent} broke off: {error!r}") from error
        return True

    def _asked(self, method: str, record: FileRecord) -> _Asked:
        agent = self._pool.agents.get(record.agent)
        if agent is None:
            raise HostAway(f"agent {record.agent} is not connected")
        url = f"{agent.url.rstrip('/')}/v1/workers/{quote(record.worker, safe='')}/file"
        query = {
            "type": record.type,
            "subfolder": record.worker_subfolder,
            "filename": record.worker_filename,
        }
        return _Asked(self._session, method, url, query)


class _Asked:
    """One request; a host that does not answer is a ``HostAway``."""

    def __init__(
        self, session: aiohttp.ClientSession, method: str, url: str, query: Mapping[str, str]
    ) -> None:
        self._request = session.request(method, url, params=query, allow_redirects=False)

    async def __aenter__(self) -> aiohttp.ClientResponse:
        try:
            return await self._request.__aenter__()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise HostAway(repr(error)) from error

    async def __aexit__(self, *error: object) -> None:
        await self._request.__aexit__(None, None, None)


def _is_there(answer: aiohttp.ClientResponse) -> bool:
    """Raises HostAway where that cannot be said."""
    if answer.status not in (200, 404):
        raise HostAway(f"{answer.url.host} answered {answer.status}")
    return answer.status == 200
