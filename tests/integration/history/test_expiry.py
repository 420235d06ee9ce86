"""What is too old goes, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from store import history_schema as history
from store import schema
from store.engine import writing
from store.expiry import Kept, expire
from store.folding import add_up_nodes
from tests.integration.history.rows import HOUR_MS, fill, job_row, node_row, sample_row

NOW_MS = 1000 * HOUR_MS


def kept(**changes: Any) -> Kept:
    fields: Mapping[str, Any] = dict.fromkeys(Kept.__dataclass_fields__, NOW_MS - 24 * HOUR_MS)
    return Kept(**{**fields, "hours_ms": None, "jobs_ms": None, **changes})


async def count(engine: AsyncEngine, table: Table) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(select(func.count()).select_from(table)) or 0)


async def test_each_step_has_a_span_of_its_own(engine: AsyncEngine) -> None:
    for step in (1, 10, 60, 600, 3600):
        rows = [sample_row(NOW_MS - hours * HOUR_MS, step_s=step) for hours in range(72)]
        await fill(engine, history.gpu_samples, rows)
    await expire(engine, kept(ten_seconds_ms=NOW_MS - 48 * HOUR_MS, minutes_ms=0))
    async with engine.connect() as connection:
        steps = history.gpu_samples.c.step_s
        found = await connection.execute(select(steps, func.count()).group_by(steps))
        assert dict(found.all()) == {1: 25, 10: 49, 60: 72, 600: 72, 3600: 72}


async def test_nodes_go_and_jobs_stay_unless_they_are_to_go_too(engine: AsyncEngine) -> None:
    await fill(engine, schema.jobs, [job_row(f"j{n}", NOW_MS - n * HOUR_MS) for n in range(72)])
    await fill(
        engine, history.node_runs, [node_row(f"j{n}", NOW_MS - n * HOUR_MS) for n in range(72)]
    )
    await expire(engine, kept())
    assert (await count(engine, schema.jobs), await count(engine, history.node_runs)) == (72, 25)
    await expire(engine, kept(jobs_ms=NOW_MS - 48 * HOUR_MS))
    assert await count(engine, schema.jobs) == 49


async def test_hours_of_nodes_outlive_the_nodes(engine: AsyncEngine) -> None:
    old = NOW_MS - 100 * HOUR_MS
    await fill(engine, schema.jobs, [job_row("j1", old), job_row("j2", old)])
    nodes = [
        node_row("j1", old, seconds=2.0),
        node_row("j2", old + 5, seconds=4.0, fallback="tiled", peak_bytes=7),
        node_row("j2", old + 6, node="4", cached=True, seconds=0.0),
        node_row("j2", old + 7, node="5", result="failure", class_type="VAEDecode"),
    ]
    await fill(engine, history.node_runs, nodes)
    for _ in range(2):
        await add_up_nodes(engine, NOW_MS)
    await expire(engine, kept())
    assert await count(engine, history.node_runs) == 0
    async with engine.connect() as connection:
        rows = (await connection.execute(history.node_hours.select())).mappings().all()
    assert {row["fingerprint"] for row in rows} == {"", "fp-1"}
    one = next(row for row in rows if row["class_type"] == "KSampler")
    assert (one["runs"], one["cached"], one["fallbacks"]) == (2, 1, 1)
    assert (one["seconds"], one["longest"], one["peak_bytes"]) == (6.0, 4.0, 30)
    other = next(row for row in rows if row["class_type"] == "VAEDecode")
    assert (other["runs"], other["failures"]) == (1, 1)


async def test_what_is_deleted_holds_up_no_writer_for_long(engine: AsyncEngine) -> None:
    await fill(
        engine, history.curves,
        [{"worker": "w", "at_ms": NOW_MS - n * HOUR_MS, "points": "[]"} for n in range(500)],
    )  # fmt: skip
    await expire(engine, kept(curves_ms=NOW_MS - 10 * HOUR_MS))
    assert await count(engine, history.curves) == 11
    async with writing(engine) as connection:
        await connection.execute(history.curves.delete())
