"""Sums that media files keep over the texts in them, made right after a text was changed.

PNG keeps a CRC-32 for each chunk, Ogg one for each page, Matroska and WebM one for each
top-level element that begins with one.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

PNG: Final = b"\x89PNG\r\n\x1a\n"
_OGG: Final = b"OggS"
_EBML: Final = b"\x1aE\xdf\xa3"
_SEGMENT: Final = 0x18538067
_CRC_ELEMENT: Final = b"\xbf\x84"
#: parts of a file that are looked at: texts lie in the first or last few
_MOST: Final = 100_000
#: a part that is larger holds no text of ours
_LARGEST: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Span:
    """One part of a file that has a sum of its own."""

    #: first byte of the payload, and the first behind it
    start: int
    end: int
    #: where the bytes that are summed begin, and where the sum is
    summed: int
    at: int


@dataclass(frozen=True, slots=True)
class Spans:
    """The parts of a file, in order; none where its format keeps no sums."""

    kind: bytes
    parts: tuple[Span, ...] = ()

    def of(self, offset: int) -> Span | None:
        """The part whose payload holds this byte."""
        index = bisect_right(self.parts, offset, key=lambda part: part.start) - 1
        if index < 0 or offset >= self.parts[index].end:
            return None
        return self.parts[index]

    def holds(self, start: int, end: int) -> bool:
        """Whether these bytes may be changed: they cross no border between parts."""
        if self.kind == _EBML or not self.kind:
            return True
        part = self.of(start)
        return part is not None and end <= part.end


def spans(file: BinaryIO) -> Spans:
    """The summed parts of a file, without reading what they hold."""
    file.seek(0)
    head = file.read(len(PNG))
    if head == PNG:
        return Spans(PNG, tuple(_png(file)))
    if head.startswith(_OGG):
        return Spans(_OGG, tuple(_ogg(file)))
    if head.startswith(_EBML):
        return Spans(_EBML, tuple(_matroska(file)))
    return Spans(b"")


def renew(file: BinaryIO, parts: Spans, changed: Iterable[int]) -> None:
    """Write the sums of the parts in which bytes at these offsets were changed."""
    for part in {found for at in changed if (found := parts.of(at)) is not None}:
        if part.end - part.summed > _LARGEST:
            continue
        file.seek(part.summed)
        content = file.read(part.end - part.summed)
        file.seek(part.at)
        file.write(_sum(parts.kind, content))


def _sum(kind: bytes, content: bytes) -> bytes:
    if kind == PNG:
        return struct.pack(">I", zlib.crc32(content))
    if kind == _OGG:
        blank = content[:22] + bytes(4) + content[26:]
        return struct.pack("<I", _ogg_crc(blank))
    return struct.pack("<I", zlib.crc32(content))


def _png(file: BinaryIO) -> Iterator[Span]:
    at = len(PNG)
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        size = int.from_bytes(head[:4], "big")
        yield Span(start=at + 8, end=at + 8 + size, summed=at + 4, at=at + 8 + size)
        at += 12 + size


def _ogg(file: BinaryIO) -> Iterator[Span]:
    at = 0
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(27)
        if len(head) < 27 or not head.startswith(_OGG):
            return
        sizes = file.read(head[26])
        start = at + 27 + head[26]
        yield Span(start=start, end=start + sum(sizes), summed=at, at=at + 22)
        at = start + sum(sizes)


def _matroska(file: BinaryIO) -> Iterator[Span]:
    """Top-level elements of the first segment that begin with a sum."""
    at, segment = 0, False
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(12)
        identity = _number(head, keep_marker=True)
        if identity is None:
            return
        size = _number(head[identity[1] :], keep_marker=False)
        if size is None:
            return
        start = at + identity[1] + size[1]
        if identity[0] == _SEGMENT and not segment:
            at, segment = start, True
            continue
        if size[0] is None:
            return  # of unknown length: a live stream, which keeps no sums
        file.seek(start)
        if file.read(2) == _CRC_ELEMENT:
            yield Span(start=start + 6, end=start + size[0], summed=start + 6, at=start + 2)
        at = start + size[0]


def _number(head: bytes, *, keep_marker: bool) -> tuple[int | None, int] | None:
    """An EBML number and its length in bytes; its value is None where it says unknown."""
    if not head or head[0] == 0:
        return None
    length = 9 - head[0].bit_length()
    if len(head) < length:
        return None
    value = int.from_bytes(head[:length], "big")
    if keep_marker:
        return value, length
    mask = (1 << (7 * length)) - 1
    return (None if value & mask == mask else value & mask), length


def _ogg_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return tuple(table)


_OGG_TABLE: Final = _ogg_table()


def _ogg_crc(content: bytes) -> int:
    """RFC 3533 §6: polynomial 0x04c11db7, begun with 0, nothing reflected."""
    value = 0
    for byte in content:
        value = (value << 8 & 0xFFFFFFFF) ^ _OGG_TABLE[value >> 24 ^ byte]
    return value
