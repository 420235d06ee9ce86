"""How often the GPUs are read: often while figures move, seldom at rest. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from scheduler.fleet import Gpu

#: memory that comes or goes in smaller steps is no movement (a desktop's windows do that)
_MOVED_BYTES: Final = 16 * 2**20
#: with other processes' memory on a GPU jobs may be waiting for it: it is read at least this
#: often, seconds, so that they start within a second of its end (docs/decisions/0005)
_BESIDE_OTHERS_S: Final = 0.25
_OTHERS_BYTES: Final = 512 * 2**20
#: each quiet reading makes the next pause so much longer
_SLOWER: Final = 1.3


class Pace:
    """The pause until the next reading."""

    def __init__(self) -> None:
        self._pause_s = 0.0
        self._last: list[tuple[int, int]] = []

    def next(self, gpus: Sequence[Gpu], *, busy: bool, fastest_s: float, slowest_s: float) -> float:
        """After a reading: seconds until the next one.

        Args:
            gpus: as just read.
            busy: a worker here has a job.
            fastest_s: the pause while something happens.
            slowest_s: the pause at rest.
        """
        figures = [(gpu.used_bytes, gpu.foreign_bytes) for gpu in gpus]
        if busy or self._moved(figures):
            self._pause_s, self._last = fastest_s, figures
            return fastest_s
        others = any(gpu.foreign_bytes > _OTHERS_BYTES for gpu in gpus)
        most = min(slowest_s, _BESIDE_OTHERS_S) if others else slowest_s
        self._pause_s = max(fastest_s, min(self._pause_s * _SLOWER, most))
        return self._pause_s

    def _moved(self, figures: list[tuple[int, int]]) -> bool:
        """Whether memory has moved since it last did; small steps add up."""
        if len(figures) != len(self._last):
            return True
        return any(
            abs(now - before) > _MOVED_BYTES
            for one, known in zip(figures, self._last, strict=True)
            for now, before in zip(one, known, strict=True)
        )
