"""How often the GPUs are read: often while figures move, seldom at rest. Pure.

A reading costs 0.1 to 0.3 ms of processor time, in a thread that has to be woken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from scheduler.fleet import Gpu

#: memory that comes or goes in smaller steps is no movement (a desktop's windows do that)
_MOVED_BYTES: Final = 16 * 2**20
#: with other processes' memory on a GPU jobs may be waiting for it, and jobs that run may be taken
#: theirs: it is read at least this often, seconds, so that jobs start within a second of its end
#: (docs/decisions/0005)
_AT_WORK_S: Final = 0.25
_OTHERS_BYTES: Final = 512 * 2**20
#: each quiet reading makes the next pause so much longer
_SLOWER: Final = 1.3


class Pace:
    """The pause until the next reading."""

    def __init__(self) -> None:
        self._pause_s = 0.0
        self._last: list[tuple[int, int]] = []

    def next(
        self,
        gpus: Sequence[Gpu],
        *,
        watched: bool,
        busy: bool,
        fastest_s: float,
        slowest_s: float,
    ) -> float:
        """After a reading: seconds until the next one.

        Args:
            gpus: as just read.
            watched: a job loads models, or nothing but readings tells what it takes.
            busy: a worker here has a job.
            fastest_s: the pause while something happens.
            slowest_s: the pause at rest.
        """
        # what our own workers take while they have jobs is expected, and told by their probes
        figures = [(0 if busy else gpu.used_bytes, gpu.foreign_bytes) for gpu in gpus]
        if watched or self._moved(figures):
            self._pause_s, self._last = fastest_s, figures
            return fastest_s
        at_work = busy or any(gpu.foreign_bytes > _OTHERS_BYTES for gpu in gpus)
        most = min(slowest_s, _AT_WORK_S) if at_work else slowest_s
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
