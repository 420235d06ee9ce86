"""Outputs that lie on a disk of this host's: read there, not through agent and worker.

Whether it is the same disk is nobody's word: the agent names path, inode, size and time of a
file of its own choosing (it has looked through symbolic links and found the end inside the
worker's folders), and the file that opens here must be that very one. On another host, in a
container with other mounts, or after somebody has put another file or a link in its place, it is
not; then the agent is asked again, and at last the file is streamed.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Final, Literal

import aiohttp
import msgspec
from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from gateway.agents import Agents
from gateway.errors import UpstreamDown
from gateway.large_reply import PlainResponse
from gateway.shelf import Shelf
from scheduler.ledger import FileRecord
from scheduler.live import FilePlace

#: of what is remembered of places
_PLACES_BYTES: Final = 4 * 2**20
_PLACE_BYTES: Final = 1000
#: seconds that a place is remembered after its last use
_IDLE_S: Final = 300.0
#: seconds for which a worker's files are taken to be out of reach once one was
_FAR_S: Final = 30.0
#: read at once, where the event loop has no sendfile (uvloop): a picture in one piece
_CHUNK: Final = 2 * 2**20
#: a request with one of these may be answered with less than the whole file
_PARTLY: Final = (
    hdrs.RANGE,
    hdrs.IF_MATCH,
    hdrs.IF_NONE_MATCH,
    hdrs.IF_MODIFIED_SINCE,
    hdrs.IF_UNMODIFIED_SINCE,
)
#: how an open file is named so that it can be read again, whatever its path means by now
_OPEN_FILES: Final = Path("/proc/self/fd")
#: a special file in the place of a picture must not hold anybody up
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class NearFiles:
    """Finds outputs on this host's disks.

    Args:
        agents: who know where files lie.
        clock: seconds.
    """

    def __init__(self, agents: Agents, clock: Callable[[], float]) -> None:
        self._agents = agents
        self._clock = clock
        self._places: Shelf[FilePlace] = Shelf(_PLACES_BYTES, idle_s=_IDLE_S)
        #: worker → until when its files are not looked for here
        self._far: dict[str, float] = {}

    async def serve(
        self, request: web.Request, record: FileRecord, headers: Mapping[str, str]
    ) -> web.StreamResponse | None:
        """The file as it lies here, with ranges and conditions; None: it does not."""
        whole = request.method == hdrs.METH_GET and not any(
            name in request.headers for name in _PARTLY
        )
        place = self._places.get(record)
        found = None if place is None else await asyncio.to_thread(_read, place, whole=whole)
        if place is None or found is None:
            place = await self._look(record)
            found = None if place is None else await asyncio.to_thread(_read, place, whole=whole)
            if place is not None and found is None:
                self._far[record.worker] = self._clock() + _FAR_S
        if place is None or found is None:
            return None
        if isinstance(found, bytes):
            return _whole_response(found, place, headers)
        return _OpenFileResponse(found, headers)

    async def _look(self, record: FileRecord) -> FilePlace | None:
        """Ask the agent where the file lies."""
        if self._far.get(record.worker, 0.0) > self._clock():
            return None
        try:
            place = await self._place(record)
        except (UpstreamDown, aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
            return None  # whoever streams it next waits for the agent, and says what is wrong
        if isinstance(place, FilePlace):
            self._places.put(record, place, _PLACE_BYTES)
            return place
        if place is not None:
            self._far[record.worker] = self._clock() + _FAR_S
        return None

    async def _place(self, record: FileRecord) -> FilePlace | Literal["far"] | None:
        """None: there is no such file; far: its worker's folders are in nobody's sight."""
        url = await self._agents.file_url(record, {}, "place")
        headers = {**self._agents.headers, hdrs.ACCEPT_ENCODING: "identity"}
        async with self._agents.session.get(url, headers=headers, allow_redirects=False) as answer:
            if answer.status != 200:
                return None
            found = msgspec.json.decode(await answer.read(), type=FilePlace | None)
            return found or "far"


def _read(place: FilePlace, *, whole: bool) -> bytes | BinaryIO | None:
    """The file of this place, if it is the one that is meant: open, or all of a small one.

    Opening and reading in one go spares a picture four changes of thread.
    """
    file = _open(place)
    if file is None or not whole or place.size_bytes > _CHUNK:
        return file
    with file:
        found = os.pread(file.fileno(), place.size_bytes, 0)
    return found if len(found) == place.size_bytes else None


def _whole_response(body: bytes, place: FilePlace, headers: Mapping[str, str]) -> web.Response:
    """All of a file; what it says of the file is what ``web.FileResponse`` says."""
    response = PlainResponse(body=body, headers=headers)
    response.etag = f"{place.modified_ns:x}-{place.size_bytes:x}"
    response.last_modified = place.modified_ns / 1e9
    response.headers[hdrs.ACCEPT_RANGES] = "bytes"
    return response


def _open(place: FilePlace) -> BinaryIO | None:
    """The file of this place, if it is the one that is meant."""
    if not _OPEN_FILES.is_dir():
        return None
    try:
        handle = os.open(place.path, _FLAGS)
    except (OSError, ValueError):
        return None
    file = os.fdopen(handle, "rb")
    found = os.fstat(handle)
    same = (found.st_ino, found.st_size, found.st_mtime_ns)
    if stat.S_ISREG(found.st_mode) and same == (
        place.inode,
        place.size_bytes,
        place.modified_ns,
    ):
        return file
    file.close()
    return None


class _OpenFileResponse(web.FileResponse):
    """A file that is open already: no path is looked up again."""

    def __init__(self, file: BinaryIO, headers: Mapping[str, str]) -> None:
        super().__init__(_OPEN_FILES / str(file.fileno()), _CHUNK, headers=headers)
        self._file = file

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send, and close."""
        try:
            return await super().prepare(request)
        finally:
            self._file.close()
