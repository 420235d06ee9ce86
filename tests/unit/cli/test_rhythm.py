"""``vramgate rhythm show``: the week, the peaks, and what going by them would gain."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.errors import CliError
from cli.main import app
from cli.rhythm_advice import Advice, advise
from config.settings import Scheduler
from scheduler.ledger import Pool
from scheduler.redis_ledger import RedisLedger
from scheduler.rhythm import HOUR_MS
from store.engine import open_engine
from tests.factories import GIB, gpu, report, worker
from tests.unit.cli.test_week import SDXL, write_history

DAY_MS = 24 * HOUR_MS
#: a Monday, midnight
NOW = int(datetime(2026, 6, 29, tzinfo=UTC).timestamp() * 1000)
RULES = Scheduler(rhythm_share=0.2)
POOL = Pool(now_ms=NOW, workers={"w": worker("w")}, gpus={"gpu-0": gpu()})
MODEL = {"model_bytes": 7 * GIB, "need_bytes": 10 * GIB, "load_seconds": 5.0}


def mornings(weeks: int, *, until_ms: int = NOW, each: int = 20) -> list[dict[str, Any]]:
    """Every day of whole weeks people work from nine to ten, and a batch job comes at half past eight."""
    days = [until_ms - n * DAY_MS for n in range(1, 7 * weeks + 1)]
    return [
        {
            **MODEL,
            "at_ms": day + 9 * HOUR_MS + n * (HOUR_MS // each),
            "user_name": f"u{n % 3}",
            "run_seconds": 90.0,
        }
        for day in days
        for n in range(each)
    ] + [
        {
            **MODEL,
            "at_ms": day + int(8.9 * HOUR_MS),
            "lane": "batch",
            "model": "unet/wan",
            "run_seconds": 900.0,
        }
        for day in days
    ]


def advice(tmp_path: Path, jobs: list[dict[str, Any]], pool: Pool = POOL) -> Advice:
    url = f"sqlite:///{tmp_path / 'a.db'}"

    async def read() -> Advice:
        await write_history(url, jobs)
        engine = open_engine(url)
        try:
            return await advise(engine, pool, RULES, NOW)
        finally:
            await engine.dispose()

    return asyncio.run(read())


def test_models_are_told_with_their_busiest_hours_and_the_day_with_its_peaks(
    tmp_path: Path,
) -> None:
    told = advice(tmp_path, mornings(3))
    assert [model.name for model in told.models] == [SDXL, "unet/wan"]
    assert 120 < told.models[0].weekly < 160
    assert {hour % 24 for hour, _ in told.models[0].busiest} == {9}
    (peak,) = told.peaks
    assert peak.begin_ms == NOW + 9 * HOUR_MS
    assert told.days == pytest.approx(21, abs=1)


def test_what_it_would_have_gained_is_tried_on_the_last_week_only(tmp_path: Path) -> None:
    told = advice(tmp_path, mornings(3))
    assert told.gain is not None
    assert told.why_not == ""
    assert told.gain.requests == pytest.approx(7 * 21, abs=21)
    # the batch job of 8:54 keeps nobody waiting at nine
    assert told.gain.on.interactive_wait_s < told.gain.off.interactive_wait_s
    assert told.gain.on.batch_wait_s > told.gain.off.batch_wait_s


def test_less_than_two_weeks_and_a_day_are_too_few_for_advice(tmp_path: Path) -> None:
    told = advice(tmp_path, mornings(1))
    assert told.gain is None
    assert "days of history are too few" in told.why_not
    assert told.peaks == ()
    assert not told.is_trusted


def test_without_gpus_there_is_nothing_to_try_it_on(tmp_path: Path) -> None:
    told = advice(tmp_path, mornings(3), Pool(now_ms=NOW))
    assert told.gain is None
    assert "no worker with a GPU" in told.why_not


def test_without_history_there_is_nothing_to_tell(tmp_path: Path) -> None:
    told = advice(tmp_path, [])
    assert (told.requests, told.models, told.gain) == (0, (), None)


def test_requests_that_no_gpu_of_today_can_hold_are_cut_to_it(tmp_path: Path) -> None:
    small = Pool(now_ms=NOW, workers={"w": worker("w")}, gpus={"gpu-0": gpu(total_bytes=6 * GIB)})
    told = advice(tmp_path, mornings(3), small)
    assert told.gain is not None
    assert told.gain.off.failed == 0


def _show(tmp_path: Path, valkey_url: str, pool_name: str, *options: str) -> str:
    file = tmp_path / "a.yaml"
    file.write_text(
        f"redis: {{url: '{valkey_url}', pool: {pool_name}}}\n"
        "scheduler: {rhythm: advise, rhythm_share: 0.2, rhythm_zone: Europe/Berlin}\n"
    )
    arguments = ["rhythm", "show", "--config", str(file), "--data-dir", str(tmp_path)]
    done = CliRunner().invoke(app, [*arguments, *options])
    assert done.exit_code == 0, done.exception
    return done.stdout


def test_people_read_sentences_and_programs_read_json(
    valkey_url: str, pool_name: str, tmp_path: Path
) -> None:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    until_ms = int(midnight.timestamp() * 1000)
    jobs = mornings(3, until_ms=until_ms, each=5)

    async def prepare() -> None:
        await write_history(f"sqlite:///{tmp_path / 'vramgate.db'}", jobs)
        ledger = RedisLedger.connect(valkey_url, pool_name)
        await ledger.report(report(workers=[worker()], gpus=[gpu()]))
        await ledger.close()

    asyncio.run(prepare())
    text = _show(tmp_path, valkey_url, pool_name)
    assert text.startswith("scheduler.rhythm is advise; hours are those of Europe/Berlin")
    assert SDXL in text
    assert "mean wait, interactive" in text
    data = json.loads(_show(tmp_path, valkey_url, pool_name, "--json"))
    assert data["workers"] == 1
    assert data["gain"]["requests"] > 0
    assert {"off", "on"} <= data["gain"].keys()


def test_a_new_pool_says_that_there_is_no_history(
    valkey_url: str, pool_name: str, tmp_path: Path
) -> None:
    assert "there is no history yet" in _show(tmp_path, valkey_url, pool_name)


def test_without_a_server_it_says_what_to_do(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["rhythm", "show", "--data-dir", str(tmp_path)])
    assert isinstance(done.exception, CliError)
    assert "vramgate up" in str(done.exception)


def test_a_store_that_cannot_be_read_is_said_to_be(
    valkey_url: str, pool_name: str, tmp_path: Path
) -> None:
    (tmp_path / "vramgate.db").write_bytes(b"no database" * 100)
    with pytest.raises(AssertionError, match="the store cannot be read"):
        _show(tmp_path, valkey_url, pool_name)
