"""Writes a sample of the pool for each second: memory and load of GPUs, the queue, the waits.

Any number of recorders may run: a second's row is written once, whoever comes first. While the
store is down samples wait in memory, for an hour; what is older is a gap.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.history.consume import Sleep
from dashboard.history.counting import count_gpus
from dashboard.history.samples import Row, gpu_rows, pool_row, wait_rows
from dashboard.history.telling import Told, tells_nobody
from dashboard.metrics.counted import Tally
from scheduler.ledger import Ledger, LedgerUnavailable
from store import history_schema as schema
from store import tallies
from store.engine import writing
from store.upsert import insert_counted, insert_new

_log = structlog.get_logger()

#: Seconds between two rows of what keeps jobs waiting.
WAIT_STEP_S: Final = 10
#: Seconds between two commits.
_COMMIT_S: Final = 5
#: Samples that wait for the store at most: an hour.
_MOST_WAITING: Final = 3600
#: Jobs of each user whose reasons are looked at.
_WINDOW: Final = 50


class PoolRecorder:
    """Samples the pool until cancelled."""

    def __init__(
        self,
        ledger: Ledger,
        engine: AsyncEngine,
        wall: Callable[[], float],
        *,
        silent_s: float,
        tell: Told = tells_nobody,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``wall``: seconds since the epoch; ``silent_s``: after which figures are too old.

        ``tell``: is told of each sample's rows; must return at once.
        """
        self._tell = tell
        self._ledger = ledger
        self._engine = engine
        self._wall = wall
        self._silent_ms = int(silent_s * 1000)
        self._sleep = sleep
        #: rows of GPUs, of the pool, of waits
        self._waiting: deque[tuple[list[Row], Row, list[Row]]] = deque(maxlen=_MOST_WAITING)
        self._last_ms = 0

    async def run(self) -> None:
        """Sample until cancelled. A ledger or store out of reach is waited for.

        A store that takes long, or hangs, holds up no sample.
        """
        storing: asyncio.Task[None] | None = None
        try:
            while True:
                await self._sleep(1 - self._wall() % 1)
                try:
                    await self.sample()
                except LedgerUnavailable as error:
                    _log.warning("pool_not_sampled", error=type(error).__name__)
                    continue
                if storing is not None and storing.done():
                    storing.result()  # what it did not expect ends the sampling, too
                    storing = None
                if storing is None and len(self._waiting) >= _COMMIT_S:
                    storing = asyncio.create_task(self._try_store())
        finally:
            if storing is not None:
                storing.cancel()
                await asyncio.gather(storing, return_exceptions=True)

    async def sample(self) -> None:
        """Take one sample, unless there is one of this second.

        Raises:
            LedgerUnavailable: nothing was read.
        """
        snapshot = await self._ledger.snapshot(_WINDOW)
        at_ms = snapshot.now_ms - snapshot.now_ms % 1000
        if at_ms <= self._last_ms:
            return
        step_ms = WAIT_STEP_S * 1000
        waits = []
        if at_ms // step_ms != self._last_ms // step_ms:
            waits = wait_rows(snapshot, at_ms - at_ms % step_ms, WAIT_STEP_S)
        self._last_ms = at_ms
        rows, pool = gpu_rows(snapshot, at_ms, self._silent_ms), pool_row(snapshot, at_ms)
        self._waiting.append((rows, pool, waits))
        self._tell([*rows, pool])

    async def store(self) -> None:
        """Write what waits.

        Raises:
            SQLAlchemyError: the store does not take it now; it stays.
            OSError: likewise.
        """
        samples = list(self._waiting)
        async with writing(self._engine) as connection:
            gpus = [row for of_gpus, _, _ in samples for row in of_gpus]
            tally = Tally()
            count_gpus(tally, await insert_counted(connection, schema.gpu_samples, gpus))
            await tallies.add(connection, tally.counts)
            await insert_new(connection, schema.pool_samples, [row for _, row, _ in samples])
            waits = [row for _, _, of_waits in samples for row in of_waits]
            await insert_new(connection, schema.waits, waits)
        # others have come meanwhile, and of too many the oldest have gone
        stored_ms = samples[-1][1]["at_ms"] if samples else 0
        while self._waiting and self._waiting[0][1]["at_ms"] <= stored_ms:
            self._waiting.popleft()

    async def _try_store(self) -> None:
        try:
            await self.store()
        except (SQLAlchemyError, OSError) as error:
            _log.warning("samples_wait", error=type(error).__name__, count=len(self._waiting))
            await self._sleep(_COMMIT_S)
