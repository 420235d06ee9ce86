"""``vramgate alerts`` on a store of its own: what fires, silences with their records, tests."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from store import history_schema
from store.audit import SqlAudit
from store.engine import open_engine
from store.migrate import migrate
from tests.integration.alerts.servers import hook_server
from tests.integration.history.rows import alert_row, fill


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    async def make() -> None:
        engine = open_engine(f"sqlite:///{tmp_path / 'vramgate.db'}")
        await migrate(engine)
        now = int(time.time() * 1000)
        rows = [
            alert_row("a1", now - 60_000),
            alert_row("a2", now - 120_000, ended_ms=now - 60_000, rule="hot_gpu"),
        ]
        await fill(engine, history_schema.alerts, rows)
        await fill(engine, history_schema.marks, [{"name": "alerts", "at_ms": now}])
        await engine.dispose()

    asyncio.run(make())
    return tmp_path


def run(folder: Path, *args: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["alerts", *args, "--data-dir", str(folder)])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def test_what_fires_is_said_and_the_exit_code_tells_it(folder: Path) -> None:
    said = run(folder, code=3)
    assert "slow_node" in said
    assert "hot_gpu" not in said
    assert "nobody has looked" not in said
    told = json.loads(run(folder, "--json", code=3))
    assert [one["id"] for one in told["firing"]] == ["a1"]


def test_history_has_what_is_over(folder: Path) -> None:
    told = json.loads(run(folder, "history", "--json"))
    assert [one["id"] for one in told["alerts"]] == ["a1", "a2"]
    assert "slow_node" not in run(folder, "history", "--rule", "hot_gpu")


def test_a_silence_has_an_end_a_reason_and_a_record(folder: Path) -> None:
    made = run(folder, "silence", "slow_*", "--why", "new nodes", "--for", "3h").split(":")[0]
    assert "new nodes" in run(folder, "silences")
    (one,) = json.loads(run(folder, "silences", "--json"))["silences"]
    assert one["until_ms"] - one["from_ms"] == pytest.approx(3 * 3_600_000, abs=5_000)
    run(folder, "unsilence", made)
    assert run(folder, "silences") == "nothing is silenced\n"
    again = CliRunner().invoke(app, ["alerts", "unsilence", made, "--data-dir", str(folder)])
    assert "is in force" in str(again.exception)
    assert {deed.action for deed in asyncio.run(deeds(folder))} == {"silence", "unsilence"}


def test_a_silence_of_no_rule_is_refused(folder: Path) -> None:
    words = ["alerts", "silence", "slow_nodes", "--why", "x", "--data-dir", str(folder)]
    done = CliRunner().invoke(app, words)
    assert "did you mean `slow_node`" in str(done.exception)


async def deeds(folder: Path) -> Any:
    engine = open_engine(f"sqlite:///{folder / 'vramgate.db'}")
    found = await SqlAudit(engine, time.time, str).newest(2**53)
    await engine.dispose()
    return found


@pytest.mark.parametrize("lasts", ["soon", "0s", "91d"])
def test_a_silence_for_no_time_or_for_ever_is_refused(folder: Path, lasts: str) -> None:
    done = CliRunner().invoke(
        app,
        ["alerts", "silence", "x", "--why", "y", "--for", lasts, "--data-dir", str(folder)],
    )
    assert done.exit_code != 0


def test_rules_are_listed_as_words_as_json_and_for_prometheus(folder: Path) -> None:
    assert "slow_node          warning   over 5 s shown for 10 min" in run(folder, "rules")
    assert json.loads(run(folder, "rules", "--json"))["rules"][0]["name"] == "slow_node"
    assert "vramgate_unwatched" in run(folder, "rules", "--prometheus")


async def test_a_test_says_who_got_it_and_who_did_not(folder: Path) -> None:
    async with hook_server() as hook:
        config = folder / "vramgate.yaml"
        hooks = [
            {"name": name, "url": url, "secret": "sixteen letters!"}
            for name, url in (("here", hook.url), ("away", "http://127.0.0.1:9/"))
        ]
        config.write_text(json.dumps({"alerts": {"webhooks": hooks}}))
        said = await asyncio.to_thread(run, folder, "test", "--config", str(config), code=1)
        assert "here: sent" in said
        assert "away: no answer" in said
        only = await asyncio.to_thread(
            run, folder, "test", "--receiver", "here", "--config", str(config)
        )
        assert only == "here: sent\n"
        assert len(hook.got) == 2


def test_a_folder_without_a_store_is_no_mistake_of_ours(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["alerts", "--data-dir", str(tmp_path / "nowhere")])
    assert "there is no store" in str(done.exception)
