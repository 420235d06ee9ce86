"""Answers that are large and in one piece already."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

#: bytes from which on copying a body costs more than handing it over by itself
_LEAST_BYTES: Final = 2**16


class PlainResponse(web.Response):
    """A response whose head leaves by itself where the body is large.

    aiohttp joins head and body into a third string on Python 3.11, which for a megabyte takes
    as long as sending it. Written one after the other both still leave in one system call.
    """

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send the head; the body follows."""
        writer = await super().prepare(request)
        if writer is not None and isinstance(self.body, bytes) and len(self.body) >= _LEAST_BYTES:
            writer.send_headers()
        return writer
