"""Notices a worker that holds more than it was promised, and does not give it back.

Its cap binds torch alone. What lies outside (a library with an allocator of its own, a leak)
only the driver sees, and only the process's end gives it back. Until then nobody else is
promised those bytes: a worker's hold is never less than what it uses.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import structlog

_log = structlog.get_logger(__name__)

#: Beyond its limit by less than this, a worker is within it: contexts grow by kernels that are
#: loaded late, and half of the least safety margin (``admission.safety_min``) bears it.
_SLACK: Final = 256 * 2**20
#: An idle worker that stays over for so long after its pool was given back is started anew, s.
_PATIENCE: Final = 5.0


class Remedy(Enum):
    """What is to be done about it."""

    #: its pool goes back to the device
    TRIM = auto()
    #: its process ends, to be started anew
    RESTART = auto()


class Overrun:
    """One worker's."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        #: when it was trimmed, being over and idle; None: it is not
        self._trimmed_at: float | None = None
        self._told = False

    def look(self, now: float, used_bytes: int, limit_bytes: int, *, idle: bool) -> Remedy | None:
        """What to do now; None: nothing.

        Args:
            now: monotonic seconds.
            used_bytes: what its process holds.
            limit_bytes: what it was last told to keep within; 0: nothing.
            idle: it runs no prompt.
        """
        over = limit_bytes > 0 and used_bytes > limit_bytes + _SLACK
        if over and not self._told:
            _log.warning(
                "worker_over_reservation",
                worker=self._worker,
                used_bytes=used_bytes,
                limit_bytes=limit_bytes,
            )
        self._told = over
        if not over or not idle:
            self._trimmed_at = None
            return None
        if self._trimmed_at is None:
            self._trimmed_at = now
            return Remedy.TRIM
        return Remedy.RESTART if now - self._trimmed_at >= _PATIENCE else None
