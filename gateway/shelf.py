"""What was made once and may be wanted again: kept up to a number of bytes, oldest use goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Shelf(Generic[V]):
    """A bounded dictionary.

    Args:
        limit_bytes: of all values together, as ``put`` was told.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()

    def get(self, key: Hashable) -> V | None:
        """The value, or None where it was never put or had to go."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: V, size_bytes: int) -> None:
        """Keep a value; one that would need more than half of the room is not kept."""
        old = self._kept.pop(key, None)
        if old is not None:
            self._bytes -= old[1]
        if size_bytes > self._limit_bytes // 2:
            return
        self._kept[key] = value, size_bytes
        self._bytes += size_bytes
        while self._bytes > self._limit_bytes:
            _, (_, gone) = self._kept.popitem(last=False)
            self._bytes -= gone
