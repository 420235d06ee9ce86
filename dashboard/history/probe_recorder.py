"""Writes what probes told into the store: node runs, prompts, models, memory curves, gaps.

As the recorder of transitions: a batch is delivered again until it is acknowledged, and that
is once its rows are committed. A second time they change nothing, their keys tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.history.consume import Sleep, consume, store_or_skip
from dashboard.history.counting import count_gaps, count_moves, count_nodes
from dashboard.history.records import Rows, rows_of
from dashboard.metrics.counted import Tally
from scheduler.ledger_records import RecordBatch, RecordSide
from store import history_schema as schema
from store import tallies
from store.engine import writing
from store.upsert import insert_counted, insert_new

_log = structlog.get_logger()

#: Batches of one read at most; each has at most 256 records.
BATCHES: Final = 64


class ProbeRecorder:
    """Consumes what probes told until cancelled; any number may run, each with its own name."""

    def __init__(
        self,
        ledger: RecordSide,
        engine: AsyncEngine,
        clock: Callable[[], float],
        *,
        consumer: str = "recorder",
        inputs: bool = True,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``clock``, ``consumer``: as the ``Recorder``'s; ``inputs``: keep those of nodes."""
        self._ledger = ledger
        self._engine = engine
        self._clock = clock
        self._consumer = consumer
        self._inputs = inputs
        self._sleep = sleep

    async def run(self) -> None:
        """Record until cancelled. A ledger or store out of reach is waited for."""
        await consume("probes", self.record_once, self._clock, self._sleep)

    async def record_once(self, block_ms: int = 1000) -> bool:
        """Write and acknowledge some batches; True: more are waiting.

        Raises:
            LedgerUnavailable: nothing was read or acknowledged.
            SQLAlchemyError: the store does not take it now; the batches come again.
            OSError: likewise.
        """
        batches = await self._ledger.told(self._consumer, block_ms, BATCHES)
        if not batches:
            return False
        await store_or_skip(batches, self._store, _names)
        await self._ledger.stored([batch.id for batch in batches])
        return len(batches) >= BATCHES

    async def _store(self, batches: Sequence[RecordBatch]) -> None:
        rows = rows_of(batches, inputs=self._inputs)
        async with writing(self._engine) as connection:
            tally = Tally()
            count_nodes(tally, await insert_counted(connection, schema.node_runs, rows.nodes))
            await insert_new(connection, schema.prompt_runs, rows.prompts)
            count_moves(tally, await insert_counted(connection, schema.model_moves, rows.moves))
            await insert_new(connection, schema.curves, rows.curves)
            count_gaps(tally, await insert_counted(connection, schema.gaps, rows.gaps))
            await tallies.add(connection, tally.counts)
        _tell(rows)


def _tell(rows: Rows) -> None:
    if rows.unknown:
        _log.warning("records_not_understood", count=rows.unknown)
    for worker, trouble in rows.troubles:
        _log.warning("probe_trouble", worker=worker, where=trouble.where, error=trouble.error)


def _names(batch: RecordBatch) -> dict[str, str]:
    return {"batch_id": batch.id, "worker": batch.told.worker}
