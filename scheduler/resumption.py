"""Holds admission back after the ledger's server has restarted.

A restarted server may have lost its last second of books, so what workers hold
is believed again only once their agents have reported. And leases may have passed
while nobody could renew them.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from scheduler.ledger import WatchSide

_log = structlog.get_logger()


class Resumption:
    """Notices restarts, if it is asked often enough: also by who does not lead yet.

    ``clock`` is monotonic seconds.
    """

    def __init__(self, ledger: WatchSide, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._run_id = ""
        self._restarted_ms = 0
        self._wait_until: float | None = None
        #: by the clock, when this life of the server was first seen, or came back into reach
        self.seen_at = clock()

    def believes(self, life: str) -> bool:
        """Whether what was read in this life of the server can be believed, without asking."""
        return self._wait_until is None and life == self._run_id

    def was_away(self) -> None:
        """The server could not be reached, by us or by anybody: leases may have passed, too."""
        self.seen_at = self._clock()

    async def is_over(self, patience_s: float) -> bool:
        """Whether the books can be believed: no restart, or every agent has reported since.

        Args:
            patience_s: how long silent agents are waited for.
        """
        await self._look(patience_s)
        if self._wait_until is None:
            return True
        if self._clock() < self._wait_until and not await self._all_reported():
            return False
        self._wait_until = None
        return True

    async def _look(self, patience_s: float) -> None:
        run_id = await self._ledger.run_id()
        if run_id != self._run_id:
            self.seen_at = self._clock()
        if self._run_id not in ("", run_id):
            self._restarted_ms = (await self._ledger.pool()).now_ms
            self._wait_until = self._clock() + patience_s
            _log.warning("ledger_restarted", run_id=run_id)
        self._run_id = run_id

    async def _all_reported(self) -> bool:
        agents = (await self._ledger.pool()).agents.values()
        return all(agent.heartbeat_ms > self._restarted_ms for agent in agents)
