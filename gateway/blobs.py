"""Bytes of uploads, stored by their SHA-256: the same bytes once, whoever sends them.

Nothing here knows names or users; ``InputFiles`` does. A file appears under its digest
only when it is complete (rename), so a reader never sees half of one.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

from gateway.errors import too_large
from gateway.pictures import size_of

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_CHUNK: Final = 2**20
#: pictures whose size is remembered
_SIZES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored bytes."""

    sha256: str
    size_bytes: int


class Blobs:
    """A content store in ``<files_dir>/blobs``."""

    def __init__(self, files_dir: Path) -> None:
        self._root = files_dir / "blobs"
        self._incoming = files_dir / "incoming"
        #: by digest, so that they hold for ever
        self._sizes: OrderedDict[str, tuple[int, int] | None] = OrderedDict()
        self._root.mkdir(parents=True, exist_ok=True)
        self._incoming.mkdir(parents=True, exist_ok=True)

    @property
    def folder(self) -> Path:
        """Where the bytes lie."""
        return self._root

    def path(self, digest: str) -> Path | None:
        """Where these bytes lie, or None where they do not (or it is no digest)."""
        if _DIGEST.fullmatch(digest) is None:
            return None
        path = self._place(digest)
        return path if path.is_file() else None

    async def picture_size(self, digest: str) -> tuple[int, int] | None:
        """Width and height of a stored picture; None: it is none, or not here."""
        if digest not in self._sizes:
            path = await asyncio.to_thread(self.path, digest)
            if path is None:
                return None
            size = await asyncio.to_thread(size_of, path)
            self._sizes[digest] = size
            if len(self._sizes) > _SIZES:
                self._sizes.popitem(last=False)
            return size
        return self._sizes[digest]

    async def store(self, chunks: AsyncIterable[bytes], limit_bytes: int) -> Blob:
        """Write a stream to disk while hashing it.

        Raises:
            TooLarge: more than ``limit_bytes`` came; nothing is kept.
        """
        handle, name = await asyncio.to_thread(tempfile.mkstemp, dir=self._incoming)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                blob = await _write(file, chunks, limit_bytes)
            await asyncio.to_thread(self._keep, temporary, blob.sha256)
        finally:
            await asyncio.to_thread(temporary.unlink, missing_ok=True)
        return blob

    async def store_bytes(self, body: bytes) -> Blob:
        """Store what is in memory already."""
        return await self.store(_once(body), len(body))

    def _keep(self, temporary: Path, digest: str) -> None:
        place = self._place(digest)
        place.parent.mkdir(exist_ok=True)
        os.replace(temporary, place)

    def _place(self, digest: str) -> Path:
        return self._root / digest[:2] / digest


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _write(file: BinaryIO, chunks: AsyncIterable[bytes], limit_bytes: int) -> Blob:
    digest, size, pending = sha256(), 0, bytearray()

    def flush() -> None:
        digest.update(pending)
        file.write(pending)
        pending.clear()

    async for chunk in chunks:
        size += len(chunk)
        if size > limit_bytes:
            raise too_large(limit_bytes)
        pending += chunk
        if len(pending) >= _CHUNK:
            await asyncio.to_thread(flush)
    await asyncio.to_thread(flush)
    return Blob(digest.hexdigest(), size)
