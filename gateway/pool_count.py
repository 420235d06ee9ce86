"""How many prompts of all users are unfinished: every POST asks, so it is counted now and then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from scheduler.ledger import Ledger

#: seconds that a count is believed while it is below the limit
_MAX_AGE_S: Final = 0.5


class PoolCount:
    """The unfinished prompts of the pool, as this gateway knows them.

    Args:
        ledger: of the pool.
        clock: seconds since the epoch.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._count = 0
        self._read_at: float | None = None

    async def against(self, limit: int) -> int:
        """The count, exact where it is at ``limit`` or above; below it half a second old at most.

        Raises:
            LedgerUnavailable: it cannot be read.
        """
        if self._is_old() or self._count >= limit:
            now = self._clock()
            counts = await self._ledger.counts()
            self._count, self._read_at = sum(one.queued + one.running for one in counts), now
        return self._count

    def accepted(self) -> None:
        """One more was queued here."""
        self._count += 1

    def _is_old(self) -> bool:
        return self._read_at is None or self._clock() - self._read_at > _MAX_AGE_S
