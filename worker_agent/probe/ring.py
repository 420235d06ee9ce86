"""Records that wait to be acknowledged: a ring that never blocks and counts what it drops."""

from __future__ import annotations

import threading
from collections import deque
from itertools import islice
from typing import Any

#: records kept until acknowledged: over half an hour of a busy worker, 30 MB if nobody takes any
SIZE = 16_384


class Ring:
    """The last records of one life of the process, numbered from 1 without a hole.

    Attributes:
        boot: id of this life; numbers mean something only together with it.
        lost: records overwritten before anybody acknowledged them.
    """

    def __init__(self, boot: str, size: int = SIZE) -> None:
        self.boot = boot
        self.lost = 0
        self._size = size
        self._records: deque[dict[str, Any]] = deque()
        self._last = 0
        self._acknowledged = 0
        self._lock = threading.Lock()

    @property
    def last(self) -> int:
        """The number of the newest record; 0 before the first."""
        return self._last

    def add(self, record: dict[str, Any]) -> int:
        """Number a record and keep it; the oldest one goes where there is no room.

        Returns:
            Its number.
        """
        with self._lock:
            self._last += 1
            record["seq"] = self._last
            self._records.append(record)
            if len(self._records) > self._size:
                self._records.popleft()
                self.lost += 1
            return self._last

    def after(self, seq: int, most: int) -> list[dict[str, Any]]:
        """The oldest ``most`` records with a number above ``seq``.

        Where some of them were overwritten, one ``gap`` record stands first, with their count. Its
        number is that of the last one lost, so that going on after it misses nothing.
        """
        with self._lock:
            first = self._last - len(self._records) + 1
            begin = max(seq, self._acknowledged)
            found = list(islice(self._records, max(0, begin + 1 - first), None))
            if len(found) > most:
                del found[most:]
            missing = first - 1 - begin
            if missing <= 0:
                return found
            at = found[0]["at"] if found else 0.0
            return [
                {"seq": first - 1, "kind": "gap", "at": at, "lost": missing},
                *found[: most - 1],
            ]

    def acknowledge(self, seq: int) -> None:
        """Drop the records up to ``seq``: they were received."""
        with self._lock:
            seq = min(seq, self._last)
            self._acknowledged = max(self._acknowledged, seq)
            while self._records and self._records[0]["seq"] <= seq:
                self._records.popleft()
