"""``vramgate simulate``: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.errors import CliError, UsageError
from cli.main import app
from simulator.world.policies import policies
from tests.worlds import write_trace


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return write_trace(tmp_path)


def run(trace: Path, *options: str) -> Result:
    return CliRunner().invoke(
        app, ["simulate", "--trace", str(trace), "--gpus", "4", "--parallel", "1", *options]
    )


def test_the_summary_is_one_json_object_with_a_row_for_each_seed(trace: Path) -> None:
    done = run(trace, "--seeds", "2", "--policy", "fair", "--json")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert {
        "mean_wait_s",
        "p50_wait_s",
        "p95_wait_s",
        "p99_wait_s",
        "max_wait_s",
        "warm_hit",
        "load_share",
        "small_tenant_wait_s",
        "jain",
        "mean_wait_s_sd",
    } <= summary.keys()
    assert (summary["policy"], summary["gpus"], summary["load"], summary["seeds"]) == (
        "fair",
        4,
        0.7,
        2,
    )
    assert summary["jobs"] == 4 * 54
    assert [row["seed"] for row in summary["rows"]] == [0, 1]


def test_the_production_policy_is_the_default_and_people_get_a_table(trace: Path) -> None:
    done = run(trace, "--seeds", "1")
    assert done.exit_code == 0, done.output
    assert "216 jobs, 4 GPUs, load 0.7, 1 seed;" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("vramgate")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--policy", "best"], "there is no policy 'best'; there are fifo, "),
        (["--load", "0"], "no share of GPU time"),
        (["--vram", "much"], "much"),
        (["--faults", "fire=1"], "'fire=1' is no fault"),
    ],
)
def test_options_that_cannot_be_are_refused_as_usage(
    trace: Path, options: list[str], says: str
) -> None:
    done = run(trace, *options)
    assert isinstance(done.exception, UsageError)
    assert says in str(done.exception)


def test_help_names_every_policy() -> None:
    text = CliRunner().invoke(app, ["simulate", "--help"], env={"COLUMNS": "200"}).output
    assert [name for name in policies() if name not in text] == []


def test_a_trace_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    done = run(tmp_path / "nowhere.csv")
    assert isinstance(done.exception, CliError)
    assert "nowhere.csv" in str(done.exception)
