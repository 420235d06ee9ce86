"""What history says of demand."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from scheduler.rhythm import STRETCH_MS, Usage
from scheduler.states import Lane
from store import schema
from store.engine import writing
from store.records import PastRequest
from store.upsert import upsert
from store.usage import SqlUsage

SDXL = "checkpoints/sdxl.safetensors"


@pytest.fixture
def usage(engine: AsyncEngine) -> SqlUsage:
    return SqlUsage(engine)


async def _record(engine: AsyncEngine, name: str, submitted_ms: int, **changes: Any) -> None:
    row = {
        **{column.name: "" for column in schema.jobs.columns},
        "id": name,
        "user_name": "ann",
        "group_name": "art",
        "lane": "interactive",
        "state": "SUCCEEDED",
        "needs_gpu": True,
        "prompt": None,
        "result": None,
        "number": 1,
        "attempts": 1,
        "losses": 0,
        "ooms": 0,
        "reserved_bytes": 0,
        "peak_bytes": 0,
        "need_bytes": 9,
        "need_seconds": 8.0,
        "run_seconds": 2.5,
        "submitted_ms": submitted_ms,
        "admitted_ms": submitted_ms + 1,
        "started_ms": submitted_ms + 2,
        "ended_ms": submitted_ms + 3,
        "model": SDXL,
        "model_bytes": 7,
        "load_seconds": 5.5,
    }
    async with writing(engine) as connection:
        await upsert(connection, schema.jobs, [{**row, **changes}])


async def test_an_empty_history_has_no_beginning(usage: SqlUsage) -> None:
    assert await usage.first_ms() is None
    assert await usage.usages(0) == []
    assert await usage.newest(0, 10) == []


async def test_requests_are_counted_by_model_and_stretch(
    usage: SqlUsage, engine: AsyncEngine
) -> None:
    await _record(engine, "a", STRETCH_MS)
    await _record(engine, "b", 2 * STRETCH_MS - 1)
    await _record(engine, "c", 2 * STRETCH_MS, model="", model_bytes=0, load_seconds=0.0)
    found = sorted(await usage.usages(0), key=lambda one: one.at_ms)
    assert found == [
        Usage(at_ms=STRETCH_MS, model=SDXL, requests=2, seconds=5.0, bytes=7, load_seconds=5.5),
        Usage(at_ms=2 * STRETCH_MS, model="", requests=1, seconds=2.5),
    ]
    assert await usage.first_ms() == STRETCH_MS


async def test_batch_work_counts_as_requests_and_as_no_interactive_work(
    usage: SqlUsage, engine: AsyncEngine
) -> None:
    await _record(engine, "a", 5, lane="batch")
    await _record(engine, "b", 6)
    (one,) = await usage.usages(0)
    assert (one.requests, one.seconds) == (2, 2.5)


async def test_work_that_was_never_measured_counts_as_expected(
    usage: SqlUsage, engine: AsyncEngine
) -> None:
    await _record(engine, "a", 5, run_seconds=0.0)
    (one,) = await usage.usages(0)
    assert one.seconds == 8.0


async def test_what_never_ran_or_needs_no_gpu_is_no_demand(
    usage: SqlUsage, engine: AsyncEngine
) -> None:
    await _record(engine, "cancelled", 5, started_ms=0, admitted_ms=0)
    await _record(engine, "text", 6, needs_gpu=False)
    assert await usage.usages(0) == []
    assert await usage.first_ms() is None


async def test_what_was_sent_before_is_left_out(usage: SqlUsage, engine: AsyncEngine) -> None:
    await _record(engine, "old", 5, ended_ms=2 * STRETCH_MS)
    await _record(engine, "new", STRETCH_MS)
    (one,) = await usage.usages(STRETCH_MS)
    assert one.requests == 1


async def test_the_newest_requests_come_oldest_first(usage: SqlUsage, engine: AsyncEngine) -> None:
    for n in range(4):
        await _record(engine, f"j{n}", 10 + n, user_name=f"u{n}", lane="batch")
    found = await usage.newest(11, 2)
    assert found == [
        PastRequest(
            submitted_ms=12 + n,
            user=f"u{2 + n}",
            group="art",
            lane=Lane.BATCH,
            model=SDXL,
            model_bytes=7,
            load_seconds=5.5,
            need_bytes=9,
            run_seconds=2.5,
        )
        for n in range(2)
    ]


async def test_jobs_of_older_versions_have_no_model(engine: AsyncEngine, usage: SqlUsage) -> None:
    await _record(engine, "a", 5)
    names = [column.name for column in schema.jobs.columns if not column.server_default]
    others = ", ".join(name for name in names if name != "id")
    copy = f"INSERT INTO jobs (id, {others}) SELECT 'b', {others} FROM jobs"
    async with writing(engine) as connection:
        await connection.execute(text(copy))
    assert {one.model for one in await usage.usages(0)} == {SDXL, ""}
