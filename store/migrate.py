"""Brings the database to this version's schema; every process calls it when it starts.

Migrations only add (docs/operations.md), so this version also works with the schema of a newer
one: for a release two of them may run side by side. A release that takes something away says
with a mark how many migrations code must know to work with what is left.
"""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Final

import structlog
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine import BUSY_SECONDS, writing
from store.errors import NewerStore

_SCRIPTS: Final = Path(__file__).parent / "migrations"
#: Any number that no other program on the server uses: the first bytes of "vramgate".
_LOCK_ID: Final = int.from_bytes(b"vramgat", "big")
_RETRY_SECONDS: Final = 0.05
#: Name of the mark that holds how many migrations code must know at least.
LEAST_MARK: Final = "migrations_to_know"
_log = structlog.get_logger()


async def migrate(engine: AsyncEngine) -> None:
    """Create or upgrade the tables. Safe when several processes start at once.

    All of it is one transaction: a process that dies half-way leaves nothing. A schema that
    is newer than this version stays as it is.

    Raises:
        NewerStore: it is so much newer that this version cannot work with it.
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
    revision = _revision(connection)
    if revision is not None and revision not in _known():
        _check_overlap(connection, revision)
        return
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def revision(engine: AsyncEngine) -> str | None:
    """The schema's revision as it is; None: there are no tables yet."""
    async with engine.connect() as connection:
        return await connection.run_sync(_revision)


def head() -> str:
    """The revision of this version's schema."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def is_newer(revision: str) -> bool:
    """Whether a revision is of a newer release than this one."""
    return revision not in _known()


def _check_overlap(connection: Connection, revision: str) -> None:
    least = connection.scalar(
        text("SELECT at_ms FROM marks WHERE name = :name"), {"name": LEAST_MARK}
    )
    if least is not None and int(least) > known():
        raise NewerStore(
            f"the database belongs to a newer release (revision {revision}, which needs one that "
            f"knows {least} migrations; this one knows {known()}): install that release"
        )
    _log.warning("store_is_newer", revision=revision, known=head(), detail="only added to: used")


def known() -> int:
    """How many migrations this version knows."""
    return len(_known())


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return MigrationContext.configure(connection).get_current_revision()


def _known() -> frozenset[str]:
    return frozenset(
        one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions()
    )


def _config() -> Config:
    config = Config()
    # ConfigParser reads % as the start of a reference.
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config
