"""The hourly job on a real database."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import insert, select

from dashboard.history.upkeep import TEMP_DAYS, clear_incoming, forget_temporary, tend
from store.engine import open_engine, writing
from store.migrate import migrate
from store.schema import input_files


async def test_old_temporary_uploads_are_forgotten_and_nothing_else(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'a.db'}")
    await migrate(engine)
    rows = [
        {"type": kind, "path": f"{kind}{when}", "put_ms": when}
        for kind in ("temp", "input")
        for when in (1000, 3000)
    ]
    common = {"user_name": "anna", "sha256": "0" * 64, "size_bytes": 1}
    async with writing(engine) as connection:
        await connection.execute(insert(input_files), [{**common, **row} for row in rows])
    assert await forget_temporary(engine, 2000) == {"outputs": 0, "uploads": 1}
    async with engine.connect() as connection:
        left = await connection.execute(select(input_files.c.path))
        assert sorted(left.scalars()) == ["input1000", "input3000", "temp3000"]
    await engine.dispose()


def test_half_uploads_of_a_killed_gateway_are_cleared(tmp_path: Path) -> None:
    for name, seconds in (("old", 100), ("new", 300)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (seconds, seconds))
    assert clear_incoming(tmp_path, 200) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["new"]
    assert clear_incoming(tmp_path / "nowhere", 200) == 0


def test_the_job_runs_on_a_database_that_nobody_has_made_yet(tmp_path: Path) -> None:
    assert TEMP_DAYS > 0
    done = tend(f"sqlite:///{tmp_path / 'a.db'}", str(tmp_path))
    assert done == {"outputs": 0, "uploads": 0, "incoming": 0}
