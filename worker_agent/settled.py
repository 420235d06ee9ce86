"""Attempts of one worker that were settled a moment ago: a server that restarts may not know."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from worker_agent.attempt import Attempt

#: how many are remembered, and for how long after the server was last seen, seconds: it may lose
#: its last second (appendfsync everysec; two at worst)
_KEPT: Final = 8
_DOUBTFUL: Final = 3.0


class Settled:
    """Remembers them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """None yet. ``clock``: monotonic seconds."""
        self._clock = clock
        #: oldest first, and when
        self._attempts: deque[tuple[float, Attempt]] = deque(maxlen=_KEPT)

    def add(self, attempt: Attempt) -> None:
        """One has just been settled."""
        self._attempts.append((self._clock(), attempt))

    async def confirm(self) -> None:
        """Say all of them again."""
        for _, attempt in list(self._attempts):
            await attempt.confirm()

    def forget(self) -> None:
        """The server is the same as ever: what was settled a while ago is on its disk."""
        while self._attempts and self._attempts[0][0] < self._clock() - _DOUBTFUL:
            self._attempts.popleft()
