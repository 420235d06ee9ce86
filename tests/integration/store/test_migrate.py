"""Migrations: from nothing to the schema, once, however many processes ask."""

from __future__ import annotations

import asyncio
import sys

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine import open_engine
from store.migrate import migrate
from store.tables import metadata

_ONE_PROCESS = """
import asyncio, sys
from store.engine import open_engine
from store.migrate import migrate

async def main():
    engine = open_engine(sys.argv[1])
    await migrate(engine)
    await engine.dispose()

asyncio.run(main())
"""


async def test_migrations_lead_to_the_schema_that_the_code_uses(engine: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[object]:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrating_again_changes_nothing(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO user_settings (user_name, name, value) VALUES ('ann', 'a', '1')")
        )
    await migrate(engine)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM user_settings")) == 1


async def test_processes_that_start_together_all_find_the_tables(store_url: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", _ONE_PROCESS, store_url, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    for process in processes:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
    engine = open_engine(store_url)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1
        assert await connection.scalar(text("SELECT count(*) FROM jobs")) == 0
    await engine.dispose()
