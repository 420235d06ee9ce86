"""Which database a URL means."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.engine import open_engine
from store.errors import UnknownStore


@pytest.mark.parametrize(
    ("url", "drivername"),
    [
        ("sqlite:///file.db", "sqlite+aiosqlite"),
        ("sqlite:////var/lib/file.db", "sqlite+aiosqlite"),
        ("postgresql://u:p@host/name", "postgresql+asyncpg"),
        ("postgres://u:p@host/name", "postgresql+asyncpg"),
        ("postgresql+asyncpg://u:p@host/name", "postgresql+asyncpg"),
    ],
)
async def test_a_plain_url_gets_its_async_driver(url: str, drivername: str) -> None:
    engine = open_engine(url)
    assert engine.url.drivername == drivername
    await engine.dispose()


@pytest.mark.parametrize("url", ["mysql://u:secret@host/name", "just words secret"])
def test_another_kind_of_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UnknownStore) as refused:
        open_engine(url)
    assert "sqlite:///" in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_sqlite_enforces_foreign_keys_and_survives_power_cuts(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'a.db'}")
    async with engine.connect() as connection:
        keys = await connection.exec_driver_sql("PRAGMA foreign_keys")
        assert keys.scalar() == 1
        synchronous = await connection.exec_driver_sql("PRAGMA synchronous")
        assert synchronous.scalar() == 2
    await engine.dispose()


async def test_a_connection_keeps_little_of_a_growing_database(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'a.db'}")
    async with engine.connect() as connection:
        size = (await connection.exec_driver_sql("PRAGMA cache_size")).scalar()
    await engine.dispose()
    # negative: KiB, positive: pages of 4 KiB
    assert size is not None
    assert -1024 <= size < 0
