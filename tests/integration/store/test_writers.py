"""Several processes write at once: none loses a row, none is told that the database is locked."""

from __future__ import annotations

import asyncio
import sys

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_WRITER = """
import asyncio, sys, time
from store.documents import SqlDocuments
from store.engine import open_engine

async def main():
    engine = open_engine(sys.argv[1])
    documents = SqlDocuments(engine, time.time)
    async def one(n):
        await documents.change_settings("ann", {f"{sys.argv[2]}-{n}": n})
        await documents.settings("ann")
        await documents.write("ann", f"{sys.argv[2]}/{n}", b"x" * 9000, overwrite=False)
        await documents.move("ann", f"{sys.argv[2]}/{n}", f"all/{sys.argv[2]}-{n}", overwrite=True)
    for start in range(0, 30, 6):
        await asyncio.gather(*(one(start + n) for n in range(6)))
    await engine.dispose()

asyncio.run(main())
"""


async def test_processes_that_write_at_once_lose_nothing(
    engine: AsyncEngine, store_url: str
) -> None:
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", _WRITER, store_url, name, stderr=asyncio.subprocess.PIPE
        )
        for name in ("one", "two", "three")
    ]
    for writer in writers:
        _, errors = await writer.communicate()
        assert writer.returncode == 0, errors.decode()
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM user_settings")) == 90
        moved = "SELECT count(*) FROM userdata WHERE path LIKE 'all/%'"
        assert await connection.scalar(text(moved)) == 90
        assert await connection.scalar(text("SELECT count(*) FROM userdata")) == 90
