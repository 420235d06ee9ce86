"""What was made once and may be wanted again: kept up to a number of bytes, oldest use goes first.

What nobody has used for a while goes as well. A studio makes thousands of jobs a day and looks
at the last few; a process that kept them all until there is no more room would grow for days.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

V = TypeVar("V")

#: what an entry takes beside its value: key, place in the dictionary, record (measured: 330)
_ENTRY_BYTES: Final = 330


@dataclass(slots=True)
class _Entry(Generic[V]):
    value: V
    size_bytes: int
    used_at: float


class Shelf(Generic[V]):
    """A bounded dictionary.

    Args:
        limit_bytes: of all values together, as ``put`` was told, and what keeping them takes.
        idle_s: seconds after its last use that an entry may go, however much room there is.
        clock: seconds.
    """

    def __init__(
        self,
        limit_bytes: int,
        *,
        idle_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit_bytes = limit_bytes
        self._idle_s = idle_s
        self._clock = clock
        self._bytes = 0
        #: the one that was used longest ago first
        self._kept: OrderedDict[Hashable, _Entry[V]] = OrderedDict()

    def get(self, key: Hashable) -> V | None:
        """The value, or None where it was never put or had to go."""
        found = self._kept.get(key)
        if found is None:
            return None
        found.used_at = self._clock()
        self._kept.move_to_end(key)
        return found.value

    def put(self, key: Hashable, value: V, size_bytes: int) -> None:
        """Keep a value; one that would need more than half of the room is not kept."""
        old = self._kept.pop(key, None)
        if old is not None:
            self._bytes -= old.size_bytes
        now, size_bytes = self._clock(), size_bytes + _ENTRY_BYTES
        if size_bytes <= self._limit_bytes // 2:
            self._kept[key] = _Entry(value, size_bytes, now)
            self._bytes += size_bytes
        self._make_room(now - self._idle_s)

    def _make_room(self, unused_since: float) -> None:
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if self._bytes <= self._limit_bytes and oldest.used_at >= unused_since:
                return
            self._kept.popitem(last=False)
            self._bytes -= oldest.size_bytes
