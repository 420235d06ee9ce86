"""A forgotten user is nowhere in the store, and the pool's sums are what they were."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.history.account import account
from store import history_schema as history
from store import schema
from store.forgetting import NOBODY, forget_user
from store.tables import metadata
from tests.integration.history.rows import (
    HOUR_MS,
    attempt_row,
    fill,
    job_row,
    node_row,
    sample_row,
)

NOW_MS = 500_000 * HOUR_MS
_WAIT = {"step_s": 3600, "at_ms": NOW_MS - HOUR_MS, "reason": "fairness", "job_ms": 5}


async def put_everything(engine: AsyncEngine) -> None:
    """Something of ann's and of bob's in every table that names users."""
    for user in ("ann", "bob"):
        for number, age in enumerate((1, 30, 300)):
            job, ended = f"{number}-{hash(user)}", NOW_MS - age * HOUR_MS
            name = {"user_name": user}
            await fill(engine, schema.jobs, [job_row(job, ended, **name)])
            await fill(engine, schema.attempts, [attempt_row(job, ended, **name)])
            await fill(engine, history.node_runs, [node_row(job, ended, **name)])
        await fill(engine, schema.user_settings, [{"user_name": user, "name": "a", "value": "1"}])
        where = {"user_name": user, "type": "output", "subfolder": "", "filename": "x.png"}
        lies = {"agent": "h", "worker": "w", "worker_subfolder": "", "worker_filename": "x.png"}
        await fill(engine, schema.files, [{**where, **lies, "job_id": "1"}])
        waits = [
            {**_WAIT, "user_name": user, "blocker": f"user:{other}"} for other in ("ann", "bob")
        ]
        await fill(engine, history.waits, waits)
        entry = {
            "id": str(hash(user)),
            "at_ms": 1,
            "by_user": user,
            "action": "views",
            "subject": "user:ann",
        }
        await fill(engine, history.audit, [{**entry, "detail": f'{{"who": "{user}"}}'}])
    await fill(engine, history.gpu_samples, [sample_row(NOW_MS)])
    await fill(engine, history.marks, [{"name": "recorded", "at_ms": NOW_MS}])
    await account(engine, NOW_MS)


async def traces(engine: AsyncEngine, word: str) -> list[str]:
    """Tables with a row in which the word stands."""
    found = []
    async with engine.connect() as connection:
        for table in metadata.sorted_tables:
            rows = (await connection.execute(table.select())).all()
            found += [table.name for row in rows if any(word in str(value) for value in row)]
    return sorted(set(found))


async def sums(engine: AsyncEngine) -> dict[str, Any]:
    usage = history.usage.c
    columns = [usage[name] for name in ("gpu_us", "byte_ms", "cost_us", "jobs", "wait_ms")]
    async with engine.connect() as connection:
        row = (await connection.execute(select(*(func.sum(one) for one in columns)))).one()
        waits = await connection.scalar(select(func.sum(history.waits.c.job_ms)))
    return {"usage": [int(one) for one in row], "waits": int(waits or 0)}


async def test_no_trace_is_left_and_no_sum_changes(engine: AsyncEngine) -> None:
    await put_everything(engine)
    assert len(await traces(engine, "ann")) > 8
    before = await sums(engine)
    bobs = await traces(engine, "bob")
    gone = await forget_user(engine, "ann")
    assert (gone["jobs"], gone["node_runs"], gone["files"]) == (3, 3, 1)
    assert await traces(engine, "ann") == []
    async with engine.connect() as connection:
        names = await connection.scalars(select(schema.jobs.c.user_name))
        assert "ann" not in set(names)
        left = select(func.count()).where(schema.jobs.c.user_name == NOBODY)
        assert await connection.scalar(left.where(schema.jobs.c.prompt.is_not(None))) == 0
    assert await sums(engine) == before
    assert await traces(engine, "bob") == bobs


async def test_what_is_added_up_later_has_the_same_sums(engine: AsyncEngine) -> None:
    await put_everything(engine)
    before = await sums(engine)
    await forget_user(engine, "ann")
    await account(engine, NOW_MS)
    await account(engine, NOW_MS + HOUR_MS)
    assert await sums(engine) == before


async def test_forgetting_two_users_or_one_twice_adds_up(engine: AsyncEngine) -> None:
    await put_everything(engine)
    before = await sums(engine)
    await forget_user(engine, "ann")
    await forget_user(engine, "bob")
    assert await forget_user(engine, "bob") == {}
    assert await sums(engine) == before
