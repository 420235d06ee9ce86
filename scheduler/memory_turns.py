"""Who is next among equals: members by counter, least first."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final

#: The heap is made anew when it holds this many entries more than twice the members.
_SLACK: Final = 64


class Turns:
    """A sorted set as the Redis ledger keeps it: member → counter, with its least counter."""

    __slots__ = ("_heap", "counters")

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        #: has every member's counter, and some that are no longer true
        self._heap: list[tuple[int, str]] = []

    def __contains__(self, member: str) -> bool:
        """Whether it has a turn."""
        return member in self.counters

    def put(self, member: str, counter: int) -> None:
        """Give the member a turn, or another counter."""
        if self.counters.get(member) == counter:
            return
        self.counters[member] = counter
        heappush(self._heap, (counter, member))
        if len(self._heap) > 2 * len(self.counters) + _SLACK:
            self._heap = [(value, name) for name, value in self.counters.items()]
            heapify(self._heap)

    def drop(self, member: str) -> None:
        """Take its turn."""
        self.counters.pop(member, None)

    def least(self) -> int | None:
        """The least counter; None: nobody has a turn."""
        heap = self._heap
        while heap:
            counter, member = heap[0]
            if self.counters.get(member) == counter:
                return counter
            heappop(heap)
        return None
