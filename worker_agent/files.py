"""Hands out a worker's files and allow-listed pages, streamed; nothing else of it is in reach."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import structlog
from aiohttp import hdrs, web

from scheduler.live import WORKER_GET_ALLOWED, FilePlace, may_get_api
from scheduler.workflow.passed_pictures import PASSED, ROUTE, is_id
from worker_agent.comfy_client import ComfyClient, WorkerUnreachable
from worker_agent.outputs import find, own_file

_log = structlog.get_logger(__name__)

_TO_WORKER: Final = (
    hdrs.RANGE,
    hdrs.IF_RANGE,
    hdrs.IF_NONE_MATCH,
    hdrs.IF_MODIFIED_SINCE,
    hdrs.ACCEPT,
    "Sec-Fetch-Dest",
)
_FROM_WORKER: Final = (
    hdrs.CONTENT_TYPE,
    hdrs.CONTENT_RANGE,
    hdrs.CONTENT_DISPOSITION,
    hdrs.ACCEPT_RANGES,
    hdrs.ETAG,
    hdrs.LAST_MODIFIED,
    hdrs.CACHE_CONTROL,
)
_VIEW_QUERY: Final = ("type", "subfolder", "filename", "preview", "channel")
#: with these a worker draws the picture anew
_DRAWN: Final = frozenset({"preview", "channel"})
#: of the frontend's root only these; everything deeper is listed by its first segment
_ROOT_FILES: Final = re.compile(r"(?:index\.html|favicon\.ico|[A-Za-z0-9_.-]+\.(?:js|css))?")
#: inputs may be read by a job right now, and are small
_DELETED: Final = frozenset({"output", "temp"})
_CHUNK: Final = 256 * 1024
#: read at once where the event loop has no sendfile (uvloop): a picture in one piece
_WHOLE: Final = 2 * 2**20

FindClient = Callable[[str], ComfyClient | None]
FindFolders = Callable[[str], Mapping[str, Path]]


def is_allowed(path: str) -> bool:
    """Whether a gateway may GET this path of a worker; ``path`` has no leading slash."""
    parts = path.split("/")
    if ".." in parts or "." in parts or "\\" in path:
        return False
    if parts[0] == "api":
        return may_get_api(parts[1:])
    return parts[0] in WORKER_GET_ALLOWED or _ROOT_FILES.fullmatch(path) is not None


class WorkerFiles:
    """The endpoint's handlers that concern one worker."""

    def __init__(self, client_of: FindClient, folders_of: FindFolders) -> None:
        """Serve the workers that ``client_of`` knows.

        Args:
            client_of: worker → its client; None: no such worker here.
            folders_of: worker → its folders on this host by type, for files of one that is down.
        """
        self._client_of = client_of
        self._folders_of = folders_of

    async def page(self, request: web.Request) -> web.StreamResponse:
        """``GET /v1/workers/{worker}/comfy/{path}``."""
        client = self._client(request)
        path = request.match_info["path"]
        if not is_allowed(path):
            raise web.HTTPForbidden(text="this path of a worker is not handed out")
        raw = request.rel_url.raw_path.split("/comfy/", 1)[1]
        asked = client.get(
            raw, request.rel_url.raw_query_string, _headers(request), method=request.method
        )
        try:
            return await stream(request, asked)
        except WorkerUnreachable as error:
            raise bad_gateway(error) from error

    async def file(self, request: web.Request) -> web.StreamResponse:
        """``GET /v1/workers/{worker}/file``, in the worker's names."""
        client = self._client(request)
        query = {name: request.query[name] for name in _VIEW_QUERY if name in request.query}
        worker = request.match_info["worker"]
        if query.get("type", "output") in self._folders_of(worker):
            found = await asyncio.to_thread(self._on_disk, worker, query)
            if found is None:
                # not asked for: a worker follows links, wherever they lead
                raise web.HTTPNotFound(text="there is no such file")
            if not query.keys() & _DRAWN:
                # what needs no drawing need not keep the worker from its work
                return web.FileResponse(found, _WHOLE)
        asked = _file(client, query, _headers(request), request.method)
        try:
            return await stream(request, asked)
        except WorkerUnreachable as error:
            raise bad_gateway(error) from error

    async def delete(self, request: web.Request) -> web.Response:
        """``DELETE /v1/workers/{worker}/file``: 204; 404 no such file; 403 not seen from here."""
        self._client(request)
        query = request.query
        key = (query.get("type", ""), query.get("subfolder", ""), query.get("filename", ""))
        folders = self._folders_of(request.match_info["worker"])
        if key[0] not in _DELETED or key[0] not in folders:
            raise web.HTTPForbidden(text="this agent does not see that folder")
        path = await asyncio.to_thread(own_file, folders, key)
        if path is None:
            raise web.HTTPNotFound
        await asyncio.to_thread(path.unlink, missing_ok=True)
        _log.info("file_deleted", worker=request.match_info["worker"], type=key[0])
        return web.Response(status=204)

    async def place(self, request: web.Request) -> web.Response:
        """``GET /v1/workers/{worker}/place``, in the worker's names."""
        self._client(request)
        worker = request.match_info["worker"]
        found = await asyncio.to_thread(self._place, worker, request.query)
        if found is None and self._folders_of(worker):
            raise web.HTTPNotFound(text="there is no such file")
        return web.Response(body=msgspec.json.encode(found), content_type="application/json")

    def _place(self, worker: str, query: Mapping[str, str]) -> FilePlace | None:
        path = self._on_disk(worker, query)
        if path is None:
            return None
        try:
            status = path.stat()
        except OSError:  # gone since it was found
            return None
        return FilePlace(
            path=str(path),
            inode=status.st_ino,
            size_bytes=status.st_size,
            modified_ns=status.st_mtime_ns,
        )

    def _client(self, request: web.Request) -> ComfyClient:
        client = self._client_of(request.match_info["worker"])
        if client is None:
            raise web.HTTPNotFound(text="no such worker at this agent")
        return client

    def _on_disk(self, worker: str, query: Mapping[str, str]) -> Path | None:
        """The file itself, where the worker's folders are known and it lies inside."""
        type_, folder = query.get("type", "output"), query.get("subfolder", "")
        return find(self._folders_of(worker), (type_, folder, query.get("filename", "")))


def _file(
    client: ComfyClient, query: Mapping[str, str], headers: Mapping[str, str], method: str
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    """A worker's file, or a picture that it keeps in memory."""
    if query.get("type") != PASSED:
        return client.view(query, headers, method=method)
    picture = query.get("filename", "")
    if not is_id(picture):
        raise web.HTTPNotFound(text="no picture is called so")
    return client.get(f"{ROUTE}/{picture}", "", headers, method=method)


async def stream(
    request: web.Request, asked: AbstractAsyncContextManager[aiohttp.ClientResponse]
) -> web.StreamResponse:
    """Pass a worker's answer on; only listed headers.

    Raises:
        WorkerUnreachable: it does not answer, or redirects.
    """
    async with asked as upstream:
        if 300 <= upstream.status < 400 and upstream.status != 304:
            raise WorkerUnreachable("the worker redirects; that is not followed")
        reply = web.StreamResponse(status=upstream.status)
        for name in _FROM_WORKER:
            if name in upstream.headers:
                reply.headers[name] = upstream.headers[name]
        # the length is that of the coded body; decoded, it is no longer true
        if hdrs.CONTENT_ENCODING not in upstream.headers and upstream.content_length is not None:
            reply.content_length = upstream.content_length
        await reply.prepare(request)
        try:
            if request.method != hdrs.METH_HEAD:
                async for chunk in upstream.content.iter_chunked(_CHUNK):
                    await reply.write(chunk)
            await reply.write_eof()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # a second answer would end up inside this one: let the gateway see it break off
            _log.info("stream_broke_off", detail=repr(error))
            if request.transport is not None:
                request.transport.abort()
        return reply


def _headers(request: web.Request) -> dict[str, str]:
    headers = {name: request.headers[name] for name in _TO_WORKER if name in request.headers}
    # same host: coding would cost more than it saves, and the gateway codes anew
    headers[hdrs.ACCEPT_ENCODING] = "identity"
    return headers


def bad_gateway(error: WorkerUnreachable) -> web.HTTPBadGateway:
    """What a gateway is told where the worker is silent."""
    _log.info("worker_unreachable", detail=str(error))
    return web.HTTPBadGateway(text="the worker does not answer")
