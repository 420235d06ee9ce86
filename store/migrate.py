"""Brings the database to this version's schema; every process calls it when it starts."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine import BUSY_SECONDS, writing

_SCRIPTS: Final = Path(__file__).parent / "migrations"
#: Any number that no other program on the server uses: the first bytes of "vramgate".
_LOCK_ID: Final = int.from_bytes(b"vramgat", "big")
_RETRY_SECONDS: Final = 0.05


async def migrate(engine: AsyncEngine) -> None:
    """Create or upgrade the tables. Safe when several processes start at once.

    All of it is one transaction: a process that dies half-way leaves nothing.
    """
    if engine.dialect.name == "sqlite":
        await _write_ahead(engine)
    async with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
        await connection.run_sync(_upgrade)


async def _write_ahead(engine: AsyncEngine) -> None:
    # SQLite does not wait (busy time-out or not) when two connections switch the mode at once.
    tries = int(BUSY_SECONDS / _RETRY_SECONDS)
    for left in reversed(range(tries)):
        try:
            async with engine.connect() as connection:
                await connection.run_sync(_switch_journal)
                return
        except sqlite3.OperationalError:
            if not left:
                raise
            await asyncio.sleep(_RETRY_SECONDS)


def _switch_journal(connection: Connection) -> None:
    # On the driver's own cursor: the mode cannot change within a transaction.
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


def _upgrade(connection: Connection) -> None:
    config = Config()
    # ConfigParser reads % as the start of a reference.
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
