"""What a sink has sent and lost, added up in the store for ``/metrics``."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.history.consume import Sleep
from dashboard.metrics.counted import SENT, UNSENT, Tally
from store import tallies
from store.engine import writing

_log = structlog.get_logger()

#: Seconds between two writes.
_EVERY_S: Final = 15.0


class Toll:
    """Counts of one sink."""

    def __init__(self, sink: str, engine: AsyncEngine, sleep: Sleep = asyncio.sleep) -> None:
        self._sink = sink
        self._engine = engine
        self._sleep = sleep
        self._tally = Tally()

    def sent(self, count: int) -> None:
        """The sink has so many more."""
        self._tally.count(SENT, self._sink, by=count)

    def lost(self, count: int) -> None:
        """So many will never be there."""
        self._tally.count(UNSENT, self._sink, by=count)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._sleep(_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Add to the store what has come up since the last time; while it is away, later."""
        counts, self._tally = self._tally.counts, Tally()
        if not counts:
            return
        try:
            async with writing(self._engine) as connection:
                await tallies.add(connection, counts)
        except (SQLAlchemyError, OSError) as error:
            self._tally.counts.update(counts)
            _log.warning("sink_counts_wait", sink=self._sink, error=type(error).__name__)
