"""Counts that only grow, kept in the store: the same whichever gateway is asked, and after a restart.

A count is whole: of things, of milliseconds, of millijoules. The recorder adds to it in the
transaction that writes the rows it counts, so that a batch which comes twice counts once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store.history_schema import tallies
from store.upsert import add_up

#: name of the count, and the values of its labels
Key = tuple[str, tuple[str, ...]]


class SqlTallies:
    """Reads the counts."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def read(self) -> dict[Key, int]:
        """All of them."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(
                select(tallies.c.name, tallies.c.labels, tallies.c.value)
            )
            return {(row.name, tuple(json.loads(row.labels))): row.value for row in rows}


async def add(connection: AsyncConnection, counts: Mapping[Key, int]) -> None:
    """Add to the counts, within the caller's transaction."""
    rows = [
        {"name": name, "labels": json.dumps(labels, ensure_ascii=False), "value": value}
        for (name, labels), value in counts.items()
        if value
    ]
    await add_up(connection, tallies, rows, "value")
