"""The ledger's part of a backup: keys one after the other, each with its length before it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import msgspec

from scheduler.backup_keys import KeptKey

_LENGTH_BYTES: Final = 4
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(KeptKey)


async def write_keys(file: Path, keys: AsyncIterator[KeptKey]) -> dict[str, int]:
    """Write them; how many there were of each kind.

    Raises:
        LedgerUnavailable: the file is not whole.
    """
    counts: dict[str, int] = {}
    with file.open("wb") as opened:
        async for key in keys:
            text = _encoder.encode(key)
            opened.write(len(text).to_bytes(_LENGTH_BYTES, "big") + text)
            counts[key.kind] = counts.get(key.kind, 0) + 1
    return counts


def read_keys(file: Path) -> Iterator[KeptKey]:
    """All keys in the order they were written.

    Raises:
        ValueError: the file is cut off or is something else.
    """
    with file.open("rb") as opened:
        while length := opened.read(_LENGTH_BYTES):
            size = int.from_bytes(length, "big")
            text = opened.read(size)
            if len(text) != size:
                raise ValueError(f"{file.name} is cut off")
            yield _decoder.decode(text)
