"""Opens the database: SQLite for one machine, PostgreSQL for many.

SQLite allows one writer at a time. A transaction that has read first and then
wants to write fails at once when another has written in between, whatever the
busy time-out; so all writing goes through ``writing``, which takes the write
lock when it begins and waits for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.engine.url import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from store.errors import StoreFull, UnknownStore

#: How long a writer waits for the others. A batch takes milliseconds; a minute is a stuck disk.
BUSY_SECONDS: Final = 60.0
#: What each connection keeps of the file. SQLite's 2 MB would fill over days, once for each
#: connection and in a thread of its own each, and hardly serve: the recorder's every write makes
#: the other processes' copies worthless. The system has the file in memory anyway.
_CACHE_KIB: Final = 512
_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
_WRITES: Final = "vramgate_writes"
#: SQLSTATE ``disk_full``
_PG_DISK_FULL: Final = "53100"


def open_engine(url: str) -> AsyncEngine:
    """Prepare connections to the database; the first one is made when it is used.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or
            ``postgresql://user:password@host/name`` (with ``?host=/folder`` for a Unix socket).

    Raises:
        UnknownStore: the URL is of another kind, or none.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UnknownStore(
            "store.url is no URL; write sqlite:///file.db or postgresql://…"
        ) from error
    driver = _DRIVERS.get(parsed.get_backend_name())
    if driver is None:
        raise UnknownStore(
            f"store.url names {parsed.get_backend_name()}; write sqlite:///file.db or postgresql://…"
        )
    parsed = parsed.set(drivername=driver)
    if parsed.get_backend_name() == "sqlite":
        engine = create_async_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    # A server that was restarted leaves dead connections in the pool: try before use.
    return create_async_engine(parsed, pool_pre_ping=True)


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that writes: committed at the end, rolled back by an exception.

    Raises:
        StoreFull: there is no room for it; nothing was written.
    """
    try:
        async with engine.execution_options(**{_WRITES: True}).begin() as connection:
            yield connection
    except DBAPIError as error:
        if _says_full(error):
            raise StoreFull("the database's disk is full; make room there") from error
        raise


async def rows_at_once(
    engine: AsyncEngine, sql: str, values: Sequence[str]
) -> Sequence[Sequence[Any]]:
    """All rows of one SELECT on SQLite: for what every prompt asks.

    SQLAlchemy goes to the driver's thread and back for each step of a statement, eight times, which
    takes four times as long as the one way that this is (0.76 and 0.19 ms). A SELECT by itself
    sees one state of the database without a transaction around it.

    Args:
        engine: of an SQLite database.
        sql: one statement, ``?`` for each value.
        values: as they are kept (``store.tables.storable``).
    """
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        rows: Sequence[Sequence[Any]] = await driver.execute_fetchall(sql, values)
        return rows


def _says_full(error: DBAPIError) -> bool:
    if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return True
    return getattr(error.orig, "sqlstate", None) == _PG_DISK_FULL


def _prepare_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # None: the driver begins nothing by itself, ``_begin_sqlite`` does.
    adapted: Any = connection
    adapted.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    # What was acknowledged survives a power cut, not only a crash of ours.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
