"""Keeps the store small and quick: run each hour as an RQ job, safe to repeat and to kill."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine import open_engine
from store.migrate import migrate

_log = structlog.get_logger()

#: A half-received upload is dropped by its own request, unless the gateway was killed.
INCOMING_HOURS: Final = 24


def tend(store_url: str, files_dir: str) -> dict[str, int]:
    """The job: clear half uploads, let SQLite tidy up.

    Args:
        store_url: as in ``store.url``.
        files_dir: the gateways' folder for uploaded bytes.

    Returns:
        What was dropped, by kind.
    """
    return asyncio.run(_tend(store_url, Path(files_dir), time.time()))


async def _tend(store_url: str, files_dir: Path, now: float) -> dict[str, int]:
    engine = open_engine(store_url)
    try:
        await migrate(engine)  # nobody else may have been here yet
        await _optimize(engine)
    finally:
        await engine.dispose()
    half = clear_incoming(files_dir / "incoming", now - INCOMING_HOURS * 3600)
    dropped = {"incoming": half}
    _log.info("store_tended", **dropped)
    return dropped


def clear_incoming(folder: Path, before: float) -> int:
    """Delete half-received uploads from before that time (seconds since the epoch); counts them."""
    if not folder.is_dir():
        return 0
    old = [file for file in folder.iterdir() if file.is_file() and file.stat().st_mtime < before]
    for file in old:
        file.unlink(missing_ok=True)
    return len(old)


async def _optimize(engine: AsyncEngine) -> None:
    """Fresh statistics for SQLite's planner, and its log folded back; PostgreSQL does so itself."""
    if engine.dialect.name != "sqlite":
        return
    async with engine.connect() as connection:
        await connection.run_sync(_tidy)


def _tidy(connection: Connection) -> None:
    # On the driver's own cursor: neither works within a transaction.
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA optimize")
    cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
    cursor.close()
