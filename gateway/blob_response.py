"""Serving stored bytes over HTTP, with their digest as strong ETag."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiohttp import ETag, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

#: read at once where the event loop has no sendfile (uvloop): a picture in one piece
_CHUNK: Final = 2 * 2**20
#: judged here by digest, so aiohttp must not judge them again by the file's date
_JUDGED: Final = (hdrs.IF_MATCH, hdrs.IF_NONE_MATCH, hdrs.IF_MODIFIED_SINCE, hdrs.IF_RANGE)


def serve_blob(
    request: web.Request, path: Path, digest: str, headers: Mapping[str, str]
) -> web.StreamResponse:
    """The bytes, a range of them (206), or what conditions ask for (304, 412)."""
    tag = {hdrs.ETAG: f'"{digest}"'}
    if request.if_match is not None and not _names(request.if_match, digest):
        return web.Response(status=412, headers=tag)
    if request.if_none_match is not None and _names(request.if_none_match, digest):
        return web.Response(status=304, headers=tag)
    return _BlobResponse(path, digest, headers)


def _names(tags: tuple[ETag, ...], digest: str) -> bool:
    return any(tag.value in ("*", digest) for tag in tags)


class _BlobResponse(web.FileResponse):
    """A file whose ETag is its digest: the same bytes match wherever and whenever stored."""

    def __init__(self, path: Path, digest: str, headers: Mapping[str, str]) -> None:
        super().__init__(path, _CHUNK, headers=headers)
        self._digest = digest

    @property
    def etag(self) -> ETag | None:
        """The digest."""
        return ETag(value=self._digest)

    @etag.setter
    def etag(self, value: ETag | str | None) -> None:
        # aiohttp sets one made of date and size
        self._headers[hdrs.ETAG] = f'"{self._digest}"'

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send; a range only if it continues these very bytes."""
        headers = request.headers.copy()
        since = headers.get(hdrs.IF_RANGE)
        if since is not None and since.strip() != f'"{self._digest}"':
            headers.popall(hdrs.RANGE, None)
        for name in _JUDGED:
            headers.popall(name, None)
        return await super().prepare(request.clone(headers=headers))
