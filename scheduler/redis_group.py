"""Reads a stream as one of the recorder's consumers: each entry until it is acknowledged."""

from __future__ import annotations

from typing import Any, Final

from redis.exceptions import ResponseError

from scheduler.bookkeeping import ABANDONED_MS
from scheduler.redis_connection import Arg, Connection
from scheduler.redis_keys import RECORDER_GROUP

#: One blocking read lasts this long at most, so that a dead connection is noticed.
LONGEST_BLOCK_MS: Final = 5000
Entry = tuple[bytes, dict[bytes, bytes]]


class RecorderGroup:
    """The recorder's group on one stream."""

    def __init__(self, server: Connection, stream: str) -> None:
        self._server = server
        self._stream = stream

    async def read(self, consumer: str, block_ms: int, count: int) -> list[Entry]:
        """What this consumer has not acknowledged; else what a dead one left; else what is new.

        Waits up to ``block_ms`` (5 s at most) for something new.
        """
        try:
            return await self._read(consumer, block_ms, count)
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            await self._make()
            return await self._read(consumer, block_ms, count)

    async def _read(self, consumer: str, block_ms: int, count: int) -> list[Entry]:
        own = await self._ask(consumer, count, "0")
        # Entries cut off by the stream's hard limit come without content: let go of them.
        gone = [entry_id for entry_id, content in own if not content]
        if gone:
            await self._server.command("XACK", self._stream, RECORDER_GROUP, *gone)
        kept = [(entry_id, content) for entry_id, content in own if content]
        if kept:
            return kept
        words: list[Arg] = ["XAUTOCLAIM", self._stream, RECORDER_GROUP, consumer]
        left = await self._server.command(*words, ABANDONED_MS, "0", "COUNT", count)
        if left[1]:
            return [(entry_id, fields_of(flat)) for entry_id, flat in left[1]]
        return await self._ask(consumer, count, ">", min(block_ms, LONGEST_BLOCK_MS))

    async def _ask(self, consumer: str, count: int, start: str, block_ms: int = 0) -> list[Entry]:
        words: list[Arg] = ["XREADGROUP", "GROUP", RECORDER_GROUP, consumer, "COUNT", count]
        if block_ms > 0:
            words += ["BLOCK", block_ms]
        words += ["STREAMS", self._stream, start]
        reply = await self._server.wait(block_ms / 1000, *words)
        return [(entry_id, fields_of(flat)) for entry_id, flat in reply[0][1]] if reply else []

    async def _make(self) -> None:
        try:
            await self._server.command(
                "XGROUP", "CREATE", self._stream, RECORDER_GROUP, "0", "MKSTREAM"
            )
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # another recorder was faster
                raise


def fields_of(content: Any) -> dict[bytes, bytes]:
    """An entry's fields; None (cut off) is no fields."""
    if isinstance(content, dict) or not content:
        return dict(content or {})
    return dict(zip(content[::2], content[1::2], strict=True))
