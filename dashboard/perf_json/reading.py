"""Reads a ``.perf.json`` that anybody may have made: whole and right, or refused in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from dashboard.perf_json.shapes import FORMAT, MAJOR, VERSION, Memory, Perf, Queue, Samples

#: Bytes of a file that is read at all: a day of a large pool has a tenth of it.
MOST_BYTES: Final = 256 * 2**20
_VERSION: Final = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})\Z")


class _Head(msgspec.Struct):
    format: Any = None
    version: Any = None


_head: Final = msgspec.json.Decoder(_Head).decode
_whole: Final = msgspec.json.Decoder(Perf).decode


@dataclass(frozen=True, slots=True)
class BadFile:
    """Why a file is not read, and what to do."""

    problem: str


def read(content: bytes, most_bytes: int = MOST_BYTES) -> Perf | BadFile:
    """The recording. Fields that are not known are ignored."""
    if len(content) > most_bytes:
        return BadFile(
            f"the file has more than {most_bytes:,} bytes; record a shorter span of time"
        )
    try:
        bad = _check_head(_head(content))
        if bad is not None:
            return bad
        perf = _whole(content)
    except msgspec.ValidationError as error:
        return BadFile(f"it is no right .perf.json: {error}")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return BadFile(f"it is no JSON ({error}); was it cut off on its way?")
    except RecursionError:
        return BadFile("it is nested too deeply for a .perf.json")
    uneven = _uneven(perf)
    return perf if uneven is None else BadFile(uneven)


def _check_head(head: _Head) -> BadFile | None:
    if head.format != FORMAT:
        return BadFile(f'it does not say "format": "{FORMAT}"; choose a file of vramgate\'s')
    version = _VERSION.match(head.version) if isinstance(head.version, str) else None
    if version is None:
        return BadFile(f'its "version" is no version such as "{VERSION}"; write it anew')
    if int(version[1]) > MAJOR:
        return BadFile(
            f"it has version {head.version}, and this program reads {MAJOR}.x; update vramgate"
        )
    if int(version[1]) < MAJOR:
        return BadFile(f"it has version {head.version}, older than {MAJOR}.0; write it anew")
    return None


def _uneven(perf: Perf) -> str | None:
    """Columns of one piece that are not equally long."""
    columnar: dict[str, Sequence[Memory | Samples | Queue]] = {
        "memory": perf.memory,
        "samples": perf.samples,
        "queue": perf.queue,
    }
    for name, pieces in columnar.items():
        for index, piece in enumerate(pieces):
            columns = _columns(piece)
            if len({len(column) for column in columns}) > 1:
                return f"columns of different length at $.{name}[{index}]; write it anew"
    return None


def _columns(piece: Memory | Samples | Queue) -> list[list[Any]]:
    """All columns; those that may be left out only where they are there."""
    fields = msgspec.structs.fields(piece)
    found = [(getattr(piece, field.name), field.required) for field in fields]
    return [one for one, needed in found if isinstance(one, list) and (one or needed)]
