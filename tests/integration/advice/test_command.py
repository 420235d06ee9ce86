"""``vramgate advice`` on a studio's day."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.day import DayStore


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["advice", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def config(day: DayStore, tmp_path: Path) -> str:
    file = tmp_path / "vramgate.yaml"
    file.write_text(f"store: {{url: '{day.url}'}}\n")
    return str(file)


def test_it_tells_an_artists_own_without_others(config: str) -> None:
    told = json.loads(said("--json", "--user", "anna", "--config", config))["advice"]
    assert "vae_fallback" in {one["kind"] for one in told}
    assert {job["user"] for one in told for job in one["jobs"]} == {"anna"}


def test_it_tells_everybodys_with_remedies_and_gains(config: str) -> None:
    told = said("--config", config)
    assert "VAEDecode fell back for want of memory" in told
    assert "→" in told
    assert "a day" in told
    everything = json.loads(said("--json", "--config", config))["advice"]
    assert {job["user"] for one in everything for job in one["jobs"]} > {"anna"}
