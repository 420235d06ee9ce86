"""``vramgate record``, ``perf`` and ``report`` over a store with two jobs."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.errors import CliError, UsageError
from cli.main import app
from cli.record import wait_for
from cli.recording import moment_ms, span_ms
from dashboard.perf_json.report import TEMPLATE
from store import history_schema, schema
from store.engine import open_engine
from store.migrate import migrate
from tests.integration.history.rows import attempt_row, fill, job_row, node_row
from tests.unit.dashboard.perf_json.files import check_schema, encoded, small
from tests.unit.dashboard.perf_json.traces import check_trace

AGO_MS = 600_000


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file, url = tmp_path / "a.yaml", f"sqlite:///{tmp_path}/s.db"
    file.write_text(f"store: {{url: '{url}'}}\n")

    async def make() -> None:
        engine = open_engine(url)
        await migrate(engine)
        ended = int(time.time() * 1000) - AGO_MS
        for job, user in (("ann-1", "ann"), ("bob-1", "bob")):
            await fill(engine, schema.jobs, [job_row(job, ended, user_name=user)])
            await fill(engine, schema.attempts, [attempt_row(job, ended, user_name=user)])
            await fill(
                engine, history_schema.node_runs, [node_row(job, ended - 9000, user_name=user)]
            )
        await engine.dispose()

    asyncio.run(make())
    return file


def run(config: Path, *words: str) -> str:
    place = ["--config", str(config), "--data-dir", str(config.parent)]
    done = CliRunner().invoke(app, [*words, *(place if words[0] != "perf" else [])])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_a_span_is_recorded_checked_and_converted(config: Path) -> None:
    out = config.parent / "a.perf.json"
    run(config, "record", "--since", "1h", "-o", str(out))
    assert len(check_schema(out.read_bytes())["jobs"]) == 2
    assert "ann" not in [job["user"] for job in check_schema(out.read_bytes())["jobs"]]
    assert "2 jobs, 2 runs, 2 nodes" in run(config, "perf", "check", str(out))
    run(config, "perf", "convert", str(out))
    check_trace((config.parent / "a.trace.json").read_bytes())
    assert not list(config.parent.glob("*.part"))


def test_one_job_is_recorded_in_either_form(config: Path) -> None:
    out = config.parent / "a.json"
    run(config, "record", "--job", "bob-1", "--names", "-o", str(out))
    (job,) = check_schema(out.read_bytes())["jobs"]
    assert (job["id"], job["user"]) == ("bob-1", "bob")
    run(config, "record", "--job", "bob-1", "--chrome", "-o", str(out))
    assert check_trace(out.read_bytes())


def test_one_user_is_recorded_apart(config: Path) -> None:
    out = config.parent / "a.json"
    run(config, "record", "--user", "ann", "--since", "1h", "-o", str(out))
    assert b"bob" not in out.read_bytes()


def test_a_recording_goes_to_the_standard_output(config: Path) -> None:
    assert (
        json.loads(run(config, "record", "--since", "1m", "-o", "-"))["format"] == "vramgate.perf"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["record", "--job", "a", "--since", "1h"], "choose one"),
        (["record", "--since", "yesterday"], "how long ago"),
        (["record", "--since", "1h", "--until", "2h"], "before"),
        (["record", "--live", "long"], "60s"),
    ],
)
def test_what_is_not_understood_is_refused(config: Path, words: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        run(config, *words)


def test_a_job_that_nobody_knows_and_a_place_that_is_none_are_told(config: Path) -> None:
    with pytest.raises(CliError, match="nothing is kept"):
        run(config, "record", "--job", "none")
    with pytest.raises(CliError, match="cannot be written"):
        run(config, "record", "-o", str(config.parent / "no" / "where.json"))


def test_a_bad_file_is_refused_in_words(config: Path) -> None:
    file = config.parent / "bad.perf.json"
    file.write_bytes(encoded(small() | {"version": "9.0"}))
    with pytest.raises(CliError, match="update vramgate"):
        run(config, "perf", "check", str(file))
    with pytest.raises(CliError, match="cannot be read"):
        run(config, "perf", "convert", str(config.parent / "none.perf.json"))


def test_live_waits_for_its_time_and_for_the_recorder_and_ends_early_by_a_key() -> None:
    slept: list[float] = []
    begin, end = wait_for("90s", slept.append)
    assert slept == [90.0, 5.0]
    assert 0 <= end - begin < 5000

    def interrupted(seconds: float) -> None:
        slept.append(seconds)
        if seconds == 60.0:
            raise KeyboardInterrupt

    wait_for("1m", interrupted)
    assert slept[2:] == [60.0, 5.0]


def test_a_time_is_so_long_ago_or_a_moment() -> None:
    assert moment_ms("90s", "--since", 1000.0) == 910_000
    assert moment_ms("2026-11-27T08:00+00:00", "--since", 0.0) == 1_795_766_400_000
    begin, end = span_ms(None, None, "24h")
    assert end - begin == 86_400_000


@pytest.mark.skipif(not TEMPLATE.is_file(), reason="the pages are not built: ./run ui")
def test_a_report_is_one_page(config: Path) -> None:
    out = config.parent / "r.html"
    run(config, "report", "--since", "1h", "--out", str(out))
    assert out.read_text().startswith("<!doctype html>")
