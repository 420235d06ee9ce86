"""Migrations: from nothing to the schema, once, however many processes ask."""

from __future__ import annotations

import asyncio
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine import open_engine
from store.errors import NewerStore
from store.migrate import LEAST_MARK, is_newer, known, migrate, revision
from store.tables import metadata

_ONE_PROCESS = """
import asyncio, sys
from store.engine import open_engine
from store.errors import NewerStore
from store.migrate import LEAST_MARK, is_newer, known, migrate, revision

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


async def newer(engine: AsyncEngine, revision: str, least: int | None = None) -> None:
    """As a newer release leaves it."""
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE jobs ADD COLUMN of_later TEXT"))
        await connection.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'"))
        if least is not None:
            await connection.execute(
                text("INSERT INTO marks (name, at_ms) VALUES (:name, :least)"),
                {"name": LEAST_MARK, "least": least},
            )


async def test_a_schema_that_a_newer_release_has_added_to_is_used_as_it_is(
    engine: AsyncEngine,
) -> None:
    await newer(engine, "9990", least=known())
    await migrate(engine)
    assert await revision(engine) == "9990"
    assert is_newer("9990")


async def test_one_that_needs_newer_code_is_refused_with_what_to_do(engine: AsyncEngine) -> None:
    await newer(engine, "9990", least=known() + 1)
    with pytest.raises(NewerStore, match="install that release"):
        await migrate(engine)
