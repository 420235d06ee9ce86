"""A GPU of the simulated world: bytes are counted as a card would, byte for byte."""

from __future__ import annotations

from scheduler.fleet import Vitals
from worker_agent.nvml import GpuReading, GpuUnreadable


class CardFull(Exception):
    """The card has not so many bytes left."""


class Card:
    """Who holds what of one device."""

    def __init__(self, uuid: str, index: int, total_bytes: int) -> None:
        self.uuid = uuid
        self.index = index
        self.total_bytes = total_bytes
        #: pid → device footprint of our workers
        self.held: dict[int, int] = {}
        #: pids whose kernels run
        self.computing: set[int] = set()
        #: what other programs took
        self.foreign_bytes = 0

    @property
    def used_bytes(self) -> int:
        """Everything that is taken; never above the total."""
        return sum(self.held.values()) + self.foreign_bytes

    def resize(self, pid: int, bytes_: int) -> None:
        """A process holds exactly this much from now on.

        Raises:
            CardFull: growing does not fit; it keeps what it had.
        """
        growth = bytes_ - self.held.get(pid, 0)
        if growth > self.total_bytes - self.used_bytes:
            raise CardFull(f"{growth} bytes of {self.total_bytes - self.used_bytes} left")
        self.held[pid] = bytes_

    def leave(self, pid: int) -> None:
        """The process is gone."""
        self.held.pop(pid, None)
        self.computing.discard(pid)

    def take_foreign(self, bytes_: int) -> int:
        """Another program takes what it gets of this; returns how much that is."""
        free = self.total_bytes - sum(self.held.values())
        self.foreign_bytes = max(0, min(bytes_, free))
        return self.foreign_bytes


class Reader:
    """``GpuReader`` of one host, which may be told to lie."""

    def __init__(self, cards: list[Card]) -> None:
        self._cards = cards
        #: True: the driver does not answer
        self.broken = False
        #: share of the true figures that it tells; 1: the truth
        self.factor = 1.0
        #: True: it repeats what it said last
        self.stale = False
        self._last: list[GpuReading] = []

    def devices(self) -> list[GpuReading]:
        """All GPUs, by index, as truly as it is told to.

        Raises:
            GpuUnreadable: it is told to fail.
        """
        if self.broken:
            raise GpuUnreadable("the simulated driver does not answer")
        if not (self.stale and self._last):
            self._last = [self._read(card) for card in self._cards]
        return self._last

    def _read(self, card: Card) -> GpuReading:
        held = {pid: int(bytes_ * self.factor) for pid, bytes_ in card.held.items()}
        return GpuReading(
            uuid=card.uuid,
            index=card.index,
            name="Simulated",
            total_bytes=card.total_bytes,
            used_bytes=int(card.used_bytes * self.factor),
            processes=held,
            utilisation=1.0 if card.computing else 0.0,
        )

    def vitals(self, uuid: str) -> Vitals:
        """Nothing is told of a simulated card."""
        return Vitals()

    def computing(self, uuid: str) -> frozenset[int]:
        """Pids whose kernels run.

        Raises:
            GpuUnreadable: it is told to fail.
        """
        if self.broken:
            raise GpuUnreadable("the simulated driver does not answer")
        return frozenset(pid for card in self._cards if card.uuid == uuid for pid in card.computing)

    def close(self) -> None:
        """Nothing is held between reads."""
