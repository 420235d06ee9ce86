"""The hourly job on a real database."""

from __future__ import annotations

import os
from pathlib import Path

from dashboard.history.upkeep import clear_incoming, tend


def test_half_uploads_of_a_killed_gateway_are_cleared(tmp_path: Path) -> None:
    for name, seconds in (("old", 100), ("new", 300)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (seconds, seconds))
    assert clear_incoming(tmp_path, 200) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["new"]
    assert clear_incoming(tmp_path / "nowhere", 200) == 0


def test_the_job_runs_on_a_database_that_nobody_has_made_yet(tmp_path: Path) -> None:
    done = tend(f"sqlite:///{tmp_path / 'a.db'}", str(tmp_path))
    assert done == {"incoming": 0}
