"""All that is kept of one job, attempt by attempt, for a trace of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store import history_schema, schema

Row = Mapping[str, Any]
#: Rows of one job that are read at most.
_MOST_ROWS: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Rows of one job, each kind in the order of time."""

    attempts: tuple[Row, ...]
    nodes: tuple[Row, ...]
    moves: tuple[Row, ...]


class SqlTraces:
    """Reads single jobs."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def read(self, job_id: str) -> Kept:
        """What there is of a job."""
        nodes, moves = history_schema.node_runs, history_schema.model_moves
        async with self._engine.connect() as connection:
            return Kept(
                attempts=await _rows(connection, schema.attempts, job_id, "attempt"),
                nodes=await _rows(connection, nodes, job_id, "started_ms"),
                moves=await _rows(connection, moves, job_id, "at_ms"),
            )


async def _rows(
    connection: AsyncConnection, table: Table, job_id: str, order: str
) -> tuple[Row, ...]:
    wanted = select(table).where(table.c.job_id == job_id).order_by(table.c[order])
    found: Any = (await connection.execute(wanted.limit(_MOST_ROWS))).mappings().all()
    return tuple(found)
