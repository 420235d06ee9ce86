"""Compressed texts of a PNG: the only place where a changed text changes a file's length."""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from worker_agent.checksums import spans

#: an unpacked text; a workflow of a thousand nodes has two
_LARGEST: Final = 16 * 2**20
_COPY: Final = 2**20


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One chunk: where its length begins, and the new body where it has one."""

    start: int
    end: int
    kind: bytes
    body: bytes | None = None


def repack(path: Path, change: Callable[[bytes], bytes]) -> bool:
    """Change the compressed texts of a PNG and put the new file in its place.

    Returns:
        False: no text was changed, nor was the file.

    Raises:
        OSError: it cannot be read, or there is no room for another.
    """
    with path.open("rb") as file:
        chunks = list(_chunks(file, change))
        if all(chunk.body is None for chunk in chunks):
            return False
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".vg-")
        try:
            with os.fdopen(handle, "wb") as out:
                _write(file, out, chunks)
            os.chmod(name, path.stat().st_mode & 0o777)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    return True


def _chunks(file: BinaryIO, change: Callable[[bytes], bytes]) -> Iterator[_Chunk]:
    for part in spans(file).parts:
        file.seek(part.summed)
        kind = file.read(4)
        small = part.end - part.start <= _LARGEST
        body = file.read(part.end - part.start) if kind in (b"zTXt", b"iTXt") and small else b""
        yield _Chunk(part.start - 8, part.end + 4, kind, _changed(kind, body, change))


def _changed(kind: bytes, body: bytes, change: Callable[[bytes], bytes]) -> bytes | None:
    """The chunk's new body; None: it stays."""
    head, packed = _split(kind, body)
    if not packed:
        return None
    unpack = zlib.decompressobj()
    try:
        text = unpack.decompress(packed, _LARGEST)
    except zlib.error:
        return None
    changed = change(text)
    return None if changed == text else head + zlib.compress(changed)


def _split(kind: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Keyword and flags, and the packed text: empty where there is none."""
    keyword, _, rest = body.partition(b"\0")
    if kind == b"zTXt" and rest[:1] == b"\0":
        return keyword + b"\0\0", rest[1:]
    if kind == b"iTXt" and rest[:2] == b"\1\0":
        tag, _, more = rest[2:].partition(b"\0")
        translated, _, packed = more.partition(b"\0")
        return keyword + b"\0\1\0" + tag + b"\0" + translated + b"\0", packed
    return b"", b""


def _write(file: BinaryIO, out: BinaryIO, chunks: list[_Chunk]) -> None:
    _copy(file, out, 0, chunks[0].start)
    for chunk in chunks:
        if chunk.body is None:
            _copy(file, out, chunk.start, chunk.end)
            continue
        out.write(struct.pack(">I", len(chunk.body)) + chunk.kind + chunk.body)
        out.write(struct.pack(">I", zlib.crc32(chunk.kind + chunk.body)))


def _copy(file: BinaryIO, out: BinaryIO, start: int, end: int) -> None:
    file.seek(start)
    while start < end and (piece := file.read(min(_COPY, end - start))):
        out.write(piece)
        start += len(piece)
