"""A store with the simulated day of a studio, as fixtures.

``day``: on SQLite, a copy of its own for each test; ``day_everywhere``: on each database. A test
module takes what it uses by ``from tests.day import day as day, day_file as day_file``.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from simulator.day.play import Days
from simulator.day.write import write_day
from store.engine import open_engine
from store.migrate import migrate

#: Wednesday, 25 November 2026, 20:00 UTC: the day begins on Tuesday evening.
UNTIL_MS: Final = 1_795_636_800_000
DAY_MS: Final = 24 * 3_600_000
FROM_MS: Final = UNTIL_MS - DAY_MS
SEED: Final = 1


@dataclass(frozen=True, slots=True)
class DayStore:
    """The day as it was played, and the store that has it."""

    url: str
    engine: AsyncEngine
    played: Days


@pytest.fixture(scope="session")
def day_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Days]:
    """The day as a SQLite file, to be copied."""
    file = tmp_path_factory.mktemp("day") / "store.db"
    content, played = _written()
    file.write_bytes(content)
    return file, played


@pytest.fixture
async def day(day_file: tuple[Path, Days], tmp_path: Path) -> AsyncIterator[DayStore]:
    """A copy on SQLite."""
    file = tmp_path / "day.db"
    shutil.copyfile(day_file[0], file)
    url = f"sqlite:///{file}"
    engine = open_engine(url)
    yield DayStore(url, engine, day_file[1])
    await engine.dispose()


@pytest.fixture
async def day_everywhere(store_url: str) -> AsyncIterator[DayStore]:
    """Written anew into each kind of database (``tests.integration.store.databases``)."""
    engine = open_engine(store_url)
    await migrate(engine)
    yield DayStore(store_url, engine, await write_day(engine, SEED, UNTIL_MS, jobs=150))
    await engine.dispose()


@cache
def _written() -> tuple[bytes, Days]:
    # a fixture of a session is made anew for each module that imports it: this is not
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "store.db"
        played = asyncio.run(_write(f"sqlite:///{file}"))
        return file.read_bytes(), played


async def _write(url: str) -> Days:
    engine = open_engine(url)
    try:
        await migrate(engine)
        return await write_day(engine, SEED, UNTIL_MS)
    finally:
        # the last connection to close puts the write-ahead log into the file
        await engine.dispose()
