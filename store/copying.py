"""Copies the whole database into one SQLite file and back: what a backup holds of the store.

The file is the same whichever database it came from, so a backup of SQLite goes onto
PostgreSQL and the other way round. Both are read as they were at one instant, and nobody who
writes waits for it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store.engine import open_engine, writing
from store.errors import BrokenCopy
from store.migrate import migrate
from store.registered import MODULES as MODULES
from store.tables import metadata

#: Pages of a SQLite file that are copied in one step, 4 KiB each.
_PAGES: Final = 4096
#: Rows of one INSERT; SQLite takes 32,766 values.
_ROWS: Final = 500
#: tells how far it is, 0 to 1
Said = Callable[[float], None]


async def copy_out(engine: AsyncEngine, target: Path, said: Said = lambda _: None) -> None:
    """Copy all of it into a SQLite file that does not exist yet.

    The database is brought to this version's schema first.

    Raises:
        OSError: the file cannot be written.
    """
    await migrate(engine)
    if engine.dialect.name == "sqlite":
        await asyncio.to_thread(_copy_sqlite, _file_of(engine), target, said)
        return
    copy = open_engine(f"sqlite:///{target}")
    try:
        await migrate(copy)
        still = engine.execution_options(isolation_level="REPEATABLE READ")
        async with still.connect() as source, writing(copy) as connection:
            await _copy_tables(source, connection, said)
    finally:
        await copy.dispose()
    _one_file(target)


async def copy_in(source: Path, engine: AsyncEngine, said: Said = lambda _: None) -> None:
    """Put a copy in the place of everything that the database holds; all of it or nothing.

    Args:
        source: of ``copy_out``; it is brought to this version's schema.
        engine: not the file's own.
        said: told how far it is.
    """
    copy = open_engine(f"sqlite:///{source}")
    try:
        await migrate(copy)
        await migrate(engine)
        async with copy.connect() as connection, writing(engine) as target:
            for table in reversed(metadata.sorted_tables):
                await target.execute(delete(table))
            await _copy_tables(connection, target, said)
    finally:
        await copy.dispose()


async def is_empty(engine: AsyncEngine) -> bool:
    """Whether the database has no history and nothing of anybody's."""
    await migrate(engine)
    async with engine.connect() as connection:
        for table in metadata.sorted_tables:
            if (await connection.execute(select(text("1")).select_from(table).limit(1))).first():
                return False
    return True


async def prove(file: Path) -> str:
    """Check that a copy is whole; the schema's revision in it.

    Raises:
        BrokenCopy: it is no database of ours, or damaged.
    """
    return await asyncio.to_thread(_prove, file)


async def ended_jobs(file: Path) -> set[str]:
    """Jobs that a copy says have ended, by id."""
    return await asyncio.to_thread(_ended, file)


def _ended(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {str(row[0]) for row in connection.execute("SELECT id FROM jobs")}


def _prove(file: Path) -> str:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise BrokenCopy(f"the database in it is damaged ({found}): take another backup")
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return str(revision)
    except (sqlite3.DatabaseError, TypeError) as error:
        raise BrokenCopy(f"there is no database of vramgate in it ({error})") from error


def _copy_sqlite(source: Path, target: Path, said: Said) -> None:
    """SQLite's own online backup.

    A read transaction is open meanwhile: without one every write of another process would
    make the copy begin anew.
    """
    with (
        closing(sqlite3.connect(source, isolation_level=None)) as origin,
        closing(sqlite3.connect(target)) as copy,
    ):
        origin.execute("BEGIN")
        origin.execute("SELECT count(*) FROM sqlite_master").fetchone()
        origin.backup(
            copy,
            pages=_PAGES,
            progress=lambda _, left, total: said(1 - left / max(total, 1)),
            sleep=0,
        )
        origin.execute("COMMIT")
    _one_file(target)


def _one_file(target: Path) -> None:
    """Everything into the file itself: a copy has no write-ahead log beside it."""
    with closing(sqlite3.connect(target)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")


async def _copy_tables(source: AsyncConnection, target: AsyncConnection, said: Said) -> None:
    tables = metadata.sorted_tables
    counts = [
        int(await source.scalar(select(text("count(*)")).select_from(table)) or 0)
        for table in tables
    ]
    whole, done = max(sum(counts), 1), 0
    for table in tables:
        rows: list[dict[str, Any]] = []
        found = await source.stream(select(table).execution_options(yield_per=_ROWS))
        async for part in found.mappings().partitions(_ROWS):
            rows = [dict(row) for row in part]
            await target.execute(insert(table), rows)
            done += len(rows)
            said(done / whole)


def _file_of(engine: AsyncEngine) -> Path:
    return Path(engine.url.database or "")
