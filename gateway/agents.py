"""The agents as a gateway sees them: where they are, and streams of bytes from their workers.

Everything goes through the agent's token-guarded endpoint (``scheduler.live``); workers
themselves listen on loopback only. No redirect is followed, no cookie is kept, and only
listed headers pass in either direction.
"""

from __future__ import annotations

import asyncio
import posixpath
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
import structlog
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from gateway.blobs import Blob, Blobs
from gateway.errors import Unavailable, UpstreamDown
from scheduler.fleet import PROTOCOL
from scheduler.ledger import FileRecord, Ledger, Pool
from scheduler.live import PROTOCOL_HEADER, WORKER_GET_ALLOWED, may_get_api
from scheduler.states import Worker, WorkerState

_REQUEST_HEADERS: Final = (
    hdrs.RANGE,
    hdrs.IF_RANGE,
    hdrs.IF_NONE_MATCH,
    hdrs.IF_MODIFIED_SINCE,
    hdrs.ACCEPT,
    hdrs.ACCEPT_ENCODING,
    "Sec-Fetch-Dest",
)
_REPLY_HEADERS: Final = (
    hdrs.CONTENT_TYPE,
    hdrs.CONTENT_LENGTH,
    hdrs.CONTENT_ENCODING,
    hdrs.CONTENT_RANGE,
    hdrs.CONTENT_DISPOSITION,
    hdrs.ACCEPT_RANGES,
    hdrs.ETAG,
    hdrs.LAST_MODIFIED,
    hdrs.CACHE_CONTROL,
)
#: an agent is on the studio's network; a file may be large, but bytes keep coming
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60)
#: a file of 1 MB goes through in a few pieces, not in sixteen
_READ_BYTES: Final = 256 * 1024
#: whether there is a page at all is told at once, or the worker counts as silent
_GLANCE: Final = aiohttp.ClientTimeout(total=2)
#: what an agent answers where its worker does not
_SILENT: Final = frozenset({502, 503, 504})
#: seconds that a GET waits for an agent to come back (a restart takes one to three), and
#: between its attempts
PATIENCE_S: Final = 5.0
#: the same for outputs, which only one host has, while that host was heard from a moment ago: its
#: agent is being started anew, which takes long on a machine with much to do
_FILE_PATIENCE_S: Final = 20.0
_HEARD_MS: Final = 30_000
_FIRST_PAUSE_S: Final = 0.1
_LAST_PAUSE_S: Final = 1.0
#: seconds until a client may ask again what could not be had
_RETRY_AFTER: Final[Mapping[str, str]] = {hdrs.RETRY_AFTER: "5"}
#: events push changes; this is how old the view of the pool may get when none comes
_POOL_MAX_AGE_S: Final = 5.0
log = structlog.get_logger()
T = TypeVar("T")


class _Away(UpstreamDown):
    """Nobody answered, which a moment later may be different."""


class Agents:
    """The pool's agents and workers, and one HTTP client to all of them."""

    def __init__(
        self,
        ledger: Ledger,
        token: str,
        clock: Callable[[], float],
        heartbeat_s: Callable[[], float],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._ledger = ledger
        self._token = token
        #: whose certificates are believed; None: those that the system believes
        self._tls = tls
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._pool = Pool(now_ms=0)
        self._read_at: float | None = None
        self._reading = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    @property
    def pool(self) -> Pool:
        """The pool as last read; ``refresh`` reads it anew."""
        return self._pool

    @property
    def headers(self) -> Mapping[str, str]:
        """What every request to an agent carries; never logged."""
        return {hdrs.AUTHORIZATION: f"Bearer {self._token}", PROTOCOL_HEADER: str(PROTOCOL)}

    @property
    def session(self) -> aiohttp.ClientSession:
        """The client for agents; closed by ``close``."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=200, ssl=self._tls or True),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=_TIMEOUT,
                auto_decompress=False,
                read_bufsize=_READ_BYTES,
            )
        return self._session

    async def close(self) -> None:
        """Drop all connections."""
        if self._session is not None:
            await self._session.close()

    async def refresh(self) -> None:
        """Read the pool from the ledger."""
        self._pool = await self._ledger.pool()
        self._read_at = self._clock()

    async def ready(self) -> list[Worker]:
        """Workers that answer and whose agent has reported lately, by id.

        One that gives memory back takes no job, but answers as any.
        """
        async with self._reading:
            if self._read_at is None or self._clock() - self._read_at > _POOL_MAX_AGE_S:
                await self.refresh()
        oldest_ms = self._pool.now_ms - self._heartbeat_s() * 1000
        return sorted(
            (
                worker
                for worker in self._pool.workers.values()
                if worker.state is not WorkerState.DOWN
                and worker.heartbeat_ms >= oldest_ms
                and worker.agent in self._pool.agents
            ),
            key=lambda worker: worker.id,
        )

    async def get_json(
        self, worker: Worker, path: str, query: str = "", *, patience_s: float = PATIENCE_S
    ) -> Any | None:
        """A worker's JSON answer; None: it has no such thing (404).

        Raises:
            UpstreamDown: the agent or the worker does not answer for ``patience_s``.
        """
        return await self._patiently(lambda: self._get_json(worker, path, query), patience_s)

    async def _get_json(self, worker: Worker, path: str, query: str) -> Any | None:
        url = self._worker_url(worker, path, query)
        headers = {**self.headers, hdrs.ACCEPT_ENCODING: "identity"}
        try:
            async with self.session.get(url, headers=headers, allow_redirects=False) as answer:
                if answer.status == 404:
                    return None
                _check(answer)
                if answer.status != 200:
                    raise UpstreamDown(f"Worker {worker.id} answered {answer.status}.")
                return msgspec.json.decode(await answer.read())
        except msgspec.DecodeError as error:
            raise UpstreamDown(f"Worker {worker.id} answered something else than JSON.") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("worker_get_failed", worker=worker.id, path=path, error=repr(error))
            raise _down(f"Worker {worker.id} does not answer; try again shortly.") from error

    async def _patiently(self, ask: Callable[[], Awaitable[T]], patience_s: float) -> T:
        """Ask again while the agent is away; it may come back at another address."""
        loop = asyncio.get_running_loop()
        give_up_at, pause_s = loop.time() + patience_s, _FIRST_PAUSE_S
        while True:
            try:
                return await ask()
            except _Away:
                if loop.time() + pause_s > give_up_at:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LAST_PAUSE_S)
            await self.refresh()

    async def has_page(self, worker: Worker) -> bool:
        """Whether a worker answers ``/`` with a page.

        Raises:
            UpstreamDown: the agent or the worker does not answer.
        """
        url = self._worker_url(worker, "", "")
        headers = {**self.headers, hdrs.ACCEPT_ENCODING: "identity"}
        try:
            async with self.session.get(
                url, headers=headers, allow_redirects=False, timeout=_GLANCE
            ) as answer:
                _check(answer)
                return answer.status == 200 and answer.content_type == "text/html"
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _unreachable(worker.agent, error) from error

    async def worker_get(
        self,
        request: web.Request,
        workers: Sequence[Worker],
        path: str,
        query: str = "",
        *,
        patience_s: float = PATIENCE_S,
    ) -> web.StreamResponse:
        """Stream the answer to a GET or HEAD of the first worker that has something there.

        A path whose first segment is not allowed, or that climbs, is a 404 without asking
        anybody. Node packs may differ from worker to worker.

        Raises:
            Unavailable: there are no workers.
            UpstreamDown: those that may have it do not answer for ``patience_s``.
        """
        if not allowed(path):
            return web.Response(status=404)
        if not workers:
            raise Unavailable("No worker is ready; try again shortly.", headers=_RETRY_AFTER)

        async def ask() -> aiohttp.ClientResponse:
            return await self._ask_first(request, workers, path, query)

        return await self._stream(request, ask, {}, patience_s)

    async def _ask_first(
        self, request: web.Request, workers: Sequence[Worker], path: str, query: str
    ) -> aiohttp.ClientResponse:
        """The first answer that is no 404, else the last one.

        Raises:
            UpstreamDown: one that might have it was silent, and no other has it.
        """
        silent: _Away | None = None
        missing: aiohttp.ClientResponse | None = None
        for worker in workers:
            try:
                answer = await self._ask(request, self._worker_url(worker, path, query))
            except _Away as error:
                silent = error
                continue
            if answer.status != 404:
                return answer
            answer.release()
            missing = answer
        if silent is not None or missing is None:
            raise silent or _down("No worker answers; try again shortly.")
        return missing

    async def file(
        self, record: FileRecord, request: web.Request, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        """Stream an output's bytes; preview, channel, Range and conditions go along.

        Raises:
            UpstreamDown: the host that holds the file does not answer, not even after a while.
        """
        extra = {key: request.query[key] for key in ("preview", "channel") if key in request.query}

        async def ask() -> aiohttp.ClientResponse:
            return await self._ask(request, await self.file_url(record, extra, "file"))

        return await self._stream(request, ask, headers, self._patience_s(record))

    async def keep_file(self, record: FileRecord, blobs: Blobs, limit_bytes: int) -> Blob | None:
        """Store an output's bytes, never all in memory; None: it is gone.

        Raises:
            TooLarge: it has more than ``limit_bytes``.
            UpstreamDown: the host that holds the file does not answer, not even after a while.
        """
        return await self._patiently(
            lambda: self._keep_file(record, blobs, limit_bytes), self._patience_s(record)
        )

    async def _keep_file(self, record: FileRecord, blobs: Blobs, limit_bytes: int) -> Blob | None:
        url = await self.file_url(record, {}, "file")
        headers = {**self.headers, hdrs.ACCEPT_ENCODING: "identity"}
        try:
            async with self.session.get(url, headers=headers, allow_redirects=False) as answer:
                _check(answer)
                if answer.status != 200:
                    return None
                return await blobs.store(answer.content.iter_any(), limit_bytes)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _unreachable(record.agent, error) from error

    def _patience_s(self, record: FileRecord) -> float:
        agent = self._pool.agents.get(record.agent)
        heard = agent is not None and self._pool.now_ms - agent.heartbeat_ms < _HEARD_MS
        return _FILE_PATIENCE_S if heard else PATIENCE_S

    async def file_url(self, record: FileRecord, extra: Mapping[str, str], route: str) -> URL:
        """Where its agent tells about an output; UpstreamDown where that is not connected."""
        query = {
            "type": record.type,
            "subfolder": record.worker_subfolder,
            "filename": record.worker_filename,
            **extra,
        }
        if record.agent not in self._pool.agents:
            await self.refresh()
        path = f"/v1/workers/{quote(record.worker, safe='')}/{route}?{urlencode(query)}"
        return URL(self._agent_url(record.agent) + path, encoded=True)

    def _worker_url(self, worker: Worker, path: str, query: str) -> URL:
        base = self._agent_url(worker.agent)
        path = f"/v1/workers/{quote(worker.id, safe='')}/comfy/{path}"
        return URL(base + path + (f"?{query}" if query else ""), encoded=True)

    def _agent_url(self, agent: str) -> str:
        found = self._pool.agents.get(agent)
        if found is None:
            raise _down(f"The host {agent} is not connected; its files come back with it.")
        return found.url.rstrip("/")

    async def _stream(
        self,
        request: web.Request,
        ask: Callable[[], Awaitable[aiohttp.ClientResponse]],
        replaced: Mapping[str, str],
        patience_s: float,
    ) -> web.StreamResponse:
        """Pass on an answer; asked again while there is none, never once it has begun."""
        async with await self._patiently(ask, patience_s) as answer:
            # no redirect is followed, and what is missing is empty as ComfyUI answers it
            if answer.status == 404 or (300 <= answer.status < 400 and answer.status != 304):
                return web.Response(status=404)
            response = web.StreamResponse(
                status=answer.status, headers=_kept(answer.headers, replaced, answer.status)
            )
            await response.prepare(request)
            if request.method != hdrs.METH_HEAD:
                await self._copy(request, answer, response)
            return response

    async def _ask(self, request: web.Request, url: URL) -> aiohttp.ClientResponse:
        sent = {name: request.headers[name] for name in _REQUEST_HEADERS if name in request.headers}
        sent.setdefault(hdrs.ACCEPT_ENCODING, "identity")
        method = hdrs.METH_HEAD if request.method == hdrs.METH_HEAD else hdrs.METH_GET
        try:
            answer = await self.session.request(
                method, url, headers={**sent, **self.headers}, allow_redirects=False
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _unreachable(url.host or "", error) from error
        try:
            _check(answer)
        except UpstreamDown:
            answer.release()
            raise
        return answer

    async def _copy(
        self, request: web.Request, answer: aiohttp.ClientResponse, response: web.StreamResponse
    ) -> None:
        try:
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        except (aiohttp.ClientPayloadError, aiohttp.ClientOSError, TimeoutError) as error:
            # the status is sent: only a broken connection says that bytes are missing
            log.warning("stream_broken", host=answer.url.host, error=repr(error))
            if request.transport is not None:
                request.transport.abort()


def allowed(path: str) -> bool:
    """Whether a worker may be asked for this (percent-encoded) path; "" is its page."""
    if path == "":
        return True
    decoded = URL.build(path="/" + path, encoded=True).path
    if "\\" in decoded or "\0" in decoded or posixpath.normpath(decoded) != decoded.rstrip("/"):
        return False
    first, *more = path.split("/")
    if first == "api":
        return may_get_api(more)
    return first in WORKER_GET_ALLOWED


def _kept(headers: Mapping[str, str], replaced: Mapping[str, str], status: int) -> CIMultiDict[str]:
    kept = CIMultiDict({name: headers[name] for name in _REPLY_HEADERS if name in headers})
    if status in (200, 206):
        kept.update(replaced)
    return kept


def _check(answer: aiohttp.ClientResponse) -> None:
    """Raises UpstreamDown where the agent says that its worker does not answer."""
    if answer.status in _SILENT:
        raise _down(f"The worker on {answer.url.host} does not answer; try again once it is back.")


def _unreachable(host: str, error: Exception) -> _Away:
    log.warning("agent_unreachable", host=host, error=repr(error))
    return _down("The host that holds this does not answer; try again shortly.")


def _down(message: str) -> _Away:
    return _Away(message, headers=_RETRY_AFTER)
