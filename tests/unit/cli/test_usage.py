"""``vramgate usage``: a month's statement in each form."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.errors import UsageError
from cli.main import app
from store import history_schema as history
from store.engine import open_engine, writing
from store.migrate import migrate

#: 2026-11-30 22:00 UTC: December in Tokyo
AT_MS = 1_796_076_000_000


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file, url = tmp_path / "a.yaml", f"sqlite:///{tmp_path}/s.db"
    file.write_text(f"store: {{url: '{url}'}}\n")

    async def fill() -> None:
        engine = open_engine(url)
        await migrate(engine)
        names = {"gpu": "g", "group_name": "film", "fingerprint": "fp", "model": "sdxl"}
        zeros = dict.fromkeys(("byte_ms", "cost_us", "energy_mj", "failed", "wait_ms"), 0)
        row = {**names, **zeros, "hour_ms": AT_MS, "gpu_us": 7_200_000_000, "jobs": 3}
        async with writing(engine) as connection:
            rows = [{**row, "user_name": name} for name in ("ann", "bob")]
            await connection.execute(history.usage.insert(), rows)
        await engine.dispose()

    asyncio.run(fill())
    return file


def run(config: Path, *words: str) -> str:
    place = ["--config", str(config), "--data-dir", str(config.parent)]
    done = CliRunner().invoke(app, ["usage", *place, *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_a_month_is_told_by_user_or_anything_else(config: Path) -> None:
    told = json.loads(run(config, "--month", "2026-11", "--json"))
    assert [(row["name"], row["gpu_us"], row["jobs"]) for row in told["usage"]] == [
        ("ann", 7_200_000_000, 3), ("bob", 7_200_000_000, 3),
    ]  # fmt: skip
    lines = run(config, "--month", "2026-11", "--by", "model", "--csv").splitlines()
    assert lines[1].startswith("2026-11,sdxl,4.000,")
    assert "ann" in run(config, "--month", "2026-11")
    assert "bob" not in run(config, "--month", "2026-11", "--user", "ann", "--html")


def test_months_begin_where_the_studio_is(config: Path) -> None:
    text = config.read_text()
    config.write_text(text + "scheduler: {rhythm_zone: Asia/Tokyo}\n")
    assert json.loads(run(config, "--month", "2026-11", "--json"))["usage"] == []
    assert len(json.loads(run(config, "--month", "2026-12", "--json"))["usage"]) == 2


@pytest.mark.parametrize("words", [["--month", "november"], ["--csv", "--json"]])
def test_what_is_not_understood_is_refused(config: Path, words: list[str]) -> None:
    with pytest.raises(UsageError):
        run(config, *words)
