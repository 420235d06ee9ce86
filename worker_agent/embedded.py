"""The graph that ComfyUI embeds in what it makes, put back into the user's names.

A worker writes the prompt that *it* was given into PNG texts, EXIF, Vorbis comments, MP4
and Matroska tags and safetensors headers: ``"filename_prefix": "vg/ann/ComfyUI"``. All of
them hold JSON, plain or quoted once more, and between two tokens JSON takes any number of
spaces. So a value is replaced by the shorter one of the user and filled up behind its
closing quote: sizes and offsets stay, nothing is decoded, and a film of gigabytes costs
one read. Only compressed PNG texts are written anew.

Formats: PNG 1.2 §3.2 (chunks, CRC-32), RFC 3533 (Ogg pages, CRC), RFC 8794 §11.3.1 (EBML
CRC-32 element). WebP, FLAC, MP4, safetensors, glTF and SVG check no sums over texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from worker_agent import checksums
from worker_agent.checksums import PNG, Spans
from worker_agent.png_texts import repack
from worker_agent.tenancy import MARK, ROOT

_SCAN: Final = 4 * 2**20
#: how far a value may reach, and how far before it its key is looked for
_LONGEST: Final = 64 * 1024
_BEFORE: Final = 256
#: quoted inside a string inside a string; nobody goes further
_DEEPEST: Final = 3
_KEY: Final = re.compile(rb",?\s*(\\*)\"" + MARK.encode() + rb"\1\"\s*:\s*\Z")


@dataclass(frozen=True, slots=True)
class _Token:
    """One JSON string in a buffer, with its quotes."""

    start: int
    end: int
    #: backslashes before each of its quotes
    slashes: int


def clean(path: Path, user: str, known: Mapping[str, str]) -> bool:
    """Put a file's embedded values back into the user's names; False: there were none.

    Args:
        path: what a worker has just made and nobody has seen.
        user: whose it is.
        known: a worker's value → what the user had written in its place. Others that begin
            with the user's folder lose it.

    Raises:
        OSError: it cannot be read or written.
    """
    needle = f"{ROOT}/{user}/".encode()
    with path.open("r+b") as file:
        spans = checksums.spans(file)
        patches = [
            patch
            for at in _find(file, needle)
            if (patch := _patch(file, at, needle, known, spans)) is not None
        ]
        for at, content in patches:
            file.seek(at)
            file.write(content)
        checksums.renew(file, spans, [at for at, _ in patches])
        is_png = _head(file).startswith(PNG)
    packed = is_png and repack(path, lambda text: _clean_text(text, needle, known))
    return bool(patches) or packed


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(16)


def _find(file: BinaryIO, needle: bytes) -> list[int]:
    """Where the needle begins, in the whole file."""
    found, base, kept = [], 0, b""
    file.seek(0)
    while chunk := file.read(_SCAN):
        buffer = kept + chunk
        found += [base - len(kept) + at for at in _all(buffer, needle)]
        base += len(chunk)
        kept = buffer[-(len(needle) - 1) :]
    return found


def _all(buffer: bytes, needle: bytes) -> Iterator[int]:
    at = buffer.find(needle)
    while at >= 0:
        yield at
        at = buffer.find(needle, at + len(needle))


def _patch(
    file: BinaryIO, at: int, needle: bytes, known: Mapping[str, str], spans: Spans
) -> tuple[int, bytes] | None:
    """What to write where for the value at ``at``; None: it is no JSON string of its own."""
    start = max(0, at - _BEFORE)
    file.seek(start)
    buffer = file.read(at - start + _LONGEST)
    found = _replace(buffer, at - start, needle, known)
    if found is None or not spans.holds(start + found[0], start + found[0] + len(found[1])):
        return None
    return start + found[0], found[1]


def _clean_text(text: bytes, needle: bytes, known: Mapping[str, str]) -> bytes:
    out = bytearray(text)
    for at in list(_all(text, needle)):
        start = max(0, at - _BEFORE)
        found = _replace(bytes(out[start : at + _LONGEST]), at - start, needle, known)
        if found is not None:
            out[start + found[0] : start + found[0] + len(found[1])] = found[1]
    return bytes(out)


def _replace(
    buffer: bytes, at: int, needle: bytes, known: Mapping[str, str]
) -> tuple[int, bytes] | None:
    """Offset and bytes that take the place of a token, equally long."""
    token = _token(buffer, at)
    if token is None:
        return None
    raw = buffer[at : token.end - 1 - token.slashes]
    if raw == needle and (key := _KEY.search(buffer, 0, token.start)) is not None:
        # the input that we added ourselves goes, and the comma before it
        return key.start(), b" " * (token.end - key.start())
    shown = _shown(raw, token, known)
    if shown is None or len(shown) > len(raw):
        shown = raw[len(needle) :]
    quote = b"\\" * token.slashes + b'"'
    return token.start, quote + shown + quote + b" " * (len(raw) - len(shown))


def _token(buffer: bytes, at: int) -> _Token | None:
    """The string that begins at ``at``, right behind its quote."""
    if buffer[at - 1 : at] != b'"' or at == 0:
        return None
    slashes = _slashes(buffer, at - 1)
    end = buffer.find(b'"', at)
    while end >= 0:
        # each backslash at the value's own end doubles with every level, too
        if _slashes(buffer, end) % (2 * (slashes + 1)) == slashes:
            return _Token(at - 1 - slashes, end + 1, slashes)
        end = buffer.find(b'"', end + 1)
    return None


def _slashes(buffer: bytes, quote: int) -> int:
    """Backslashes right before a quote."""
    first = quote
    while first > 0 and buffer[first - 1 : first] == b"\\":
        first -= 1
    return quote - first


def _shown(raw: bytes, token: _Token, known: Mapping[str, str]) -> bytes | None:
    """The user's value, quoted as the worker's was; None: none is known."""
    # each level of quoting doubles the backslashes and adds one: 0, 1, 3, 7
    depth = (token.slashes + 1).bit_length() - 1
    if 2**depth - 1 != token.slashes or depth > _DEEPEST:
        return None
    try:
        value = raw.decode()
        for _ in range(depth + 1):
            value = json.loads(f'"{value}"')
    except ValueError:
        return None
    wanted = known.get(value)
    if wanted is None:
        return None
    ascii_only = raw.isascii()
    for _ in range(depth + 1):
        wanted = json.dumps(wanted, ensure_ascii=ascii_only)[1:-1]
    return wanted.encode("utf-8", "surrogatepass")
