"""The week is learned from the store and told to the ledger."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import redis
from rq import Queue
from rq.worker import SimpleWorker
from sqlalchemy import insert

from cli.chores import work_for
from cli.jobs import QUEUE, Chore, _ask, chores
from cli.options import read_ground
from cli.week import learn_week
from scheduler.redis_ledger import RedisLedger
from scheduler.rhythm import HOUR_MS, WEEK_MS, from_json
from store import schema
from store.engine import open_engine, writing
from store.migrate import migrate

SDXL = "checkpoints/sdxl.safetensors"


async def write_history(url: str, jobs: list[dict[str, Any]]) -> None:
    """Ended jobs in a store that need not exist yet."""
    row = {
        **{column.name: "" for column in schema.jobs.columns},
        **dict.fromkeys(("number", "attempts", "losses", "ooms", "need_bytes"), 1),
        **dict.fromkeys(("reserved_bytes", "peak_bytes", "model_bytes"), 1),
        "lane": "interactive",
        "needs_gpu": True,
        "need_seconds": 9.0,
        "run_seconds": 9.0,
        "load_seconds": 4.0,
        "model": SDXL,
        "prompt": None,
        "result": None,
    }
    engine = open_engine(url)
    await migrate(engine)
    async with writing(engine) as connection:
        for n, job in enumerate(jobs):
            at = dict.fromkeys(
                ("submitted_ms", "admitted_ms", "started_ms", "ended_ms"), job.pop("at_ms")
            )
            await connection.execute(
                insert(schema.jobs), {**row, "id": f"j{n}", "prompt_id": f"p{n}", **at, **job}
            )
    await engine.dispose()


async def week_in(url: str, pool: str) -> bytes | None:
    ledger = RedisLedger.connect(url, pool)
    try:
        return await ledger.week()
    finally:
        await ledger.close()


def now() -> int:
    return time.time_ns() // 1_000_000


def test_history_becomes_a_week_in_the_ledger(
    valkey_url: str, pool_name: str, tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path / 'a.db'}"
    asyncio.run(write_history(store, [{"at_ms": now() - n * WEEK_MS} for n in range(1, 4)]))
    known = learn_week(store, valkey_url, pool_name, "Europe/Berlin")
    assert known == 1
    text = asyncio.run(week_in(valkey_url, pool_name))
    assert text is not None
    rhythm = from_json(text)
    assert rhythm is not None
    assert rhythm.is_trusted
    assert rhythm.habits[SDXL].load_seconds == 4.0
    assert max(rhythm.week_of(SDXL)) > 0


def test_without_history_nothing_is_written(
    valkey_url: str, pool_name: str, tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path / 'a.db'}"
    assert learn_week(store, valkey_url, pool_name, "UTC") == 0
    assert asyncio.run(week_in(valkey_url, pool_name)) is None


def test_the_role_learns_it_each_hour_and_once_however_many_ask(
    valkey_url: str, pool_name: str, tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path / 'vramgate.db'}"
    asyncio.run(write_history(store, [{"at_ms": now() - HOUR_MS}]))
    file = tmp_path / "a.yaml"
    file.write_text(
        f"redis: {{url: '{valkey_url}', pool: {pool_name}}}\n"
        "scheduler: {rhythm: on, rhythm_zone: Asia/Tokyo}\n"
    )
    ground = read_ground(file, tmp_path, environ={})
    due = chores(ground)
    assert [chore.name for chore in due] == ["upkeep", "week", "files", "history"]
    work_for(ground)
    _work_off(valkey_url, pool_name, due)
    assert asyncio.run(week_in(valkey_url, pool_name)) is not None


def _work_off(url: str, name: str, due: list[Chore]) -> None:
    connection = redis.Redis.from_url(url)
    queue = Queue(f"{QUEUE}-{name}", connection=connection, serializer="json")
    _ask(queue, due)
    _ask(queue, due)
    assert queue.count == 4
    SimpleWorker([queue], connection=connection, serializer="json").work(burst=True)
    assert queue.failed_job_registry.count == 0
