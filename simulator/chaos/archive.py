"""The recorder's database: a real one in memory, behind a connection that is slow and breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from sqlalchemy import Connection, CursorResult, ScalarResult, Select, create_engine, select
from sqlalchemy.exc import OperationalError

from simulator.chaos.violation import Violation, require
from store import schema
from store.tables import metadata


class Archive:
    """Stands for an ``AsyncEngine``, as far as ``store.engine.writing`` uses one."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._engine = create_engine("sqlite://")
        metadata.create_all(self._engine)
        self._open: Connection = self._engine.connect()
        #: one transaction writes at a time, as in SQLite
        self._writing = asyncio.Lock()
        #: chance that a transaction fails, before or after it was committed
        self.failing = 0.0
        #: the longest a statement takes, seconds
        self.slowest_s = 0.01
        self.down = False

    def execution_options(self, **_options: Any) -> Archive:
        """None matter here."""
        return self

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[_Transaction]:
        """A transaction; it may fail although it was committed.

        Raises:
            OperationalError: the store does not answer, or its answer was lost.
        """
        await self._pass()
        if self.down or self._rng.random() < self.failing / 2:
            raise _away()
        async with self._writing:
            transaction = _Transaction(self)
            yield transaction
            # all at once and without a pause: nobody sees half of it
            for statement, rows in transaction.statements:
                self._open.execute(statement, rows)
            self._open.commit()
        if self._rng.random() < self.failing / 2:
            raise _away()

    async def _pass(self) -> None:
        await asyncio.sleep(self._rng.uniform(0.0, self.slowest_s))

    def states(self) -> dict[str, str]:
        """Job → state, as stored."""
        rows = self._open.execute(select(schema.jobs.c.id, schema.jobs.c.state))
        return {str(row[0]): str(row[1]) for row in rows}

    def close(self) -> None:
        """Forget everything."""
        self._open.close()
        self._engine.dispose()


class _Transaction:
    """Collects what is written until the end; what is read was there when it began."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.dialect = archive._engine.dialect
        self.statements: list[tuple[Any, list[dict[str, Any]]]] = []

    async def execute(
        self, statement: Any, rows: Sequence[Mapping[str, Any]] = ()
    ) -> CursorResult[Any] | None:
        """Read now, or note what is to be written; takes a while."""
        await self._archive._pass()
        if isinstance(statement, Select):
            # the recorder reads before it writes: nothing that is noted could change the answer
            require(not self.statements, "a read follows a write that it would not see")
            return self._archive._open.execute(statement)
        self.statements.append((statement, [dict(row) for row in rows]))
        return None

    async def scalars(self, statement: Select[Any]) -> ScalarResult[Any]:
        """The first column of what is read now; takes a while."""
        result = await self.execute(statement)
        if result is None:
            raise Violation("what should be read is written")
        return result.scalars()


def _away() -> OperationalError:
    return OperationalError("BEGIN", {}, Exception("the simulated store does not answer"))
