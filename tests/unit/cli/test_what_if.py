"""A question goes through the jobs' queue and comes back with its answer."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
import redis
from rq import Queue
from rq.worker import SimpleWorker

from cli.chores import work_for
from cli.jobs import QUEUE
from cli.options import read_ground
from cli.what_if_queue import asking
from dashboard.api.what_ifs import rules_of
from simulator.day.play import Days
from simulator.day.studio import settings
from store.engine import open_engine
from store.what_ifs import Progress, SqlWhatIfs, WhatIf
from tests.day import UNTIL_MS
from tests.day import day_file as day_file

HOUR_MS = 3_600_000


def question() -> WhatIf:
    return WhatIf(
        id="q1", asked_ms=UNTIL_MS, by_user="olga", from_ms=UNTIL_MS - HOUR_MS, until_ms=UNTIL_MS,
        change={"workers_per_gpu": 3}, rules=rules_of(settings()),
    )  # fmt: skip


def test_the_jobs_role_plays_what_a_gateway_asks(
    day_file: tuple[Path, Days], valkey_url: str, tmp_path: Path
) -> None:
    shutil.copyfile(day_file[0], tmp_path / "day.db")
    store = f"sqlite:///{tmp_path / 'day.db'}"
    config = tmp_path / "vramgate.yaml"
    config.write_text(f"redis: {{url: '{valkey_url}'}}\nstore: {{url: '{store}'}}\n")
    asyncio.run(ask(store))
    asyncio.run(asking(read_ground(config, tmp_path, environ={}))("q1"))
    connection = redis.Redis.from_url(valkey_url)
    queue = Queue(QUEUE, connection=connection, serializer="json")
    assert [[*job.args] for job in queue.jobs] == [["q1"]]  # no address: a password may be in it
    work_for(read_ground(config, tmp_path, environ={}))
    SimpleWorker([queue], connection=connection, serializer="json").work(burst=True)
    connection.close()
    one = asyncio.run(found(store))
    assert one is not None
    assert one.state is Progress.DONE
    assert one.result is not None
    assert one.result["recorded"]["all"]["jobs"] == one.result["jobs"] > 10


async def ask(store: str) -> None:
    engine = open_engine(store)
    await SqlWhatIfs(engine).ask(question())
    await engine.dispose()


async def found(store: str) -> WhatIf | None:
    engine = open_engine(store)
    one = await SqlWhatIfs(engine).one("q1")
    await engine.dispose()
    return one


async def test_a_queue_that_is_no_plain_redis_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "vramgate.yaml"
    for url in ("redis+cluster://127.0.0.1:9", "redis://127.0.0.1:9"):
        config.write_text(f"redis: {{url: '{url}'}}\n")
        with pytest.raises(OSError, match=r"Redis|ConnectionError"):
            await asking(read_ground(config, tmp_path, environ={}))("q1")
