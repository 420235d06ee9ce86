"""A forgotten user is nowhere in the store, and the pool's sums are what they were."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.history.account import account
from store import history_schema as history
from store import schema
from store.audit import SqlAudit
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


#: tables whose rows name users, or what users wrote, and that ``forget_user`` is known to clean
CLEANED = {
    "jobs", "attempts", "files", "input_files", "user_settings", "userdata", "hidden",
    "node_runs", "prompt_runs", "model_moves", "alerts", "usage", "waits", "gpu_samples",
    "silences", "audit", "what_ifs", "advice", "advice_users", "advice_dismissals",
    "alert_states", "alert_rules", "alert_groups", "alert_messages",
}  # fmt: skip
#: tables in which nobody's name or text can be
NAMELESS = {"curves", "gaps", "marks", "node_hours", "pool_samples", "tallies"}


def test_every_table_is_known_to_be_cleaned_or_to_name_nobody() -> None:
    """A new table fails here until somebody says what forgetting a user does to it."""
    tables = {table.name: table for table in metadata.sorted_tables}
    assert set(tables) - CLEANED - NAMELESS == set(), "extend store/forgetting.py, then this list"
    for name in NAMELESS & set(tables):
        assert not {"user_name", "by_user"} & set(tables[name].columns.keys()), name


async def test_what_admins_saw_and_changed_of_a_user_stays_under_no_name(
    engine: AsyncEngine,
) -> None:
    numbers = iter(range(100))
    audit = SqlAudit(engine, lambda: 1000.0, lambda: f"d{next(numbers)}")
    await audit.note_look("ada", "job:j1", {"user": "ann"})
    await audit.note_look("ada", "job:j2", {"user": "annabel"})
    await audit.note("ada", "limit", "limit:users.ann.weight", {"after": 2, "user": "ann"})
    await audit.note("ada", "view", "user:ann", {})
    await audit.note("ann", "export", "pool", {"format": "csv"})
    known = {deed.id for deed in await audit.newest(2**53)}
    await forget_user(engine, "ann")
    deeds = await audit.newest(2**53)
    assert sorted((deed.by_user, deed.action, deed.subject) for deed in deeds) == [
        (NOBODY, "export", "pool"),
        ("ada", "limit", f"limit:{NOBODY}"),
        ("ada", "view", f"job:{NOBODY}"),
        ("ada", "view", "job:j2"),
        ("ada", "view", f"user:{NOBODY}"),
    ]
    # of one that says whom it was about nothing is left, not even an id made of the name
    assert {deed.id for deed in deeds} & known == {
        deed.id for deed in deeds if deed.subject == "job:j2"
    }
