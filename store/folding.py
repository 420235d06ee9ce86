"""Samples of longer and longer steps, made of shorter ones; hours of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Table, and_, case, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store import history_schema, schema
from store.engine import writing
from store.upsert import upsert

#: Steps of samples, seconds; each is made of the one before it.
STEPS: Final = (1, 10, 60, 600, 3600, 14_400)
#: Steps of waits.
WAIT_STEPS: Final = (10, 3600)
Fold = Callable[[Iterable[Mapping[str, Any]], int], list[dict[str, Any]]]
#: Rows of a shorter step that are read at a time: so many of its steps.
_SPAN: Final = 3600
HOUR_MS: Final = 3_600_000
#: Hours of nodes that are added up again: their jobs may have ended, or their agent been away.
_AGAIN_MS: Final = 6 * HOUR_MS
_nodes = history_schema.node_runs.c
_jobs = schema.jobs.c


async def fold_samples(
    engine: AsyncEngine, table: Table, steps: tuple[int, ...], fold: Fold
) -> int:
    """Make what is due of all longer steps. Safe to repeat and to kill.

    Returns:
        How many rows were written.
    """
    return sum(
        [await _fold_step(engine, table, short, long, fold) for short, long in pairwise(steps)]
    )


async def _fold_step(engine: AsyncEngine, table: Table, short: int, long: int, fold: Fold) -> int:
    name, long_ms, written = f"{table.name}:{long}", long * 1000, 0
    async with engine.connect() as connection:
        at = await _mark(connection, name)
        first, newest = await _bounds(connection, table, short, at)
    if first is None or newest is None:
        return 0
    # nothing of a step is missing when there is something of the next
    end = newest - newest % long_ms
    at = max(at or 0, first - first % long_ms)
    while at < end:
        until = min(end, at + max(long_ms, _SPAN * short * 1000))
        async with writing(engine) as connection:
            wanted = table.select().where(
                table.c.step_s == short, table.c.at_ms >= at, table.c.at_ms < until
            )
            found: Any = (await connection.execute(wanted)).mappings().all()
            rows = fold(found, long)
            await upsert(connection, table, rows)
            await upsert(connection, history_schema.marks, [{"name": name, "at_ms": until}])
        written += len(rows)
        at = until
    return written


async def _bounds(
    connection: AsyncConnection, table: Table, step_s: int, from_ms: int | None
) -> tuple[int | None, int | None]:
    wanted = select(func.min(table.c.at_ms), func.max(table.c.at_ms)).where(
        table.c.step_s == step_s, table.c.at_ms >= (from_ms or 0)
    )
    first, newest = (await connection.execute(wanted)).one()
    return first, newest


async def _mark(connection: AsyncConnection, name: str) -> int | None:
    marks = history_schema.marks.c
    found: int | None = await connection.scalar(select(marks.at_ms).where(marks.name == name))
    return found


async def add_up_nodes(engine: AsyncEngine, now_ms: int) -> int:
    """What nodes of each class took in each hour, by workflow; the last hours once more.

    Returns:
        How many rows were written.
    """
    name = history_schema.node_hours.name
    async with engine.connect() as connection:
        at = await _mark(connection, name)
        if at is None:
            at = await connection.scalar(select(func.min(_nodes.started_ms)))
    if at is None:
        return 0
    written = 0
    at -= at % HOUR_MS
    while at <= now_ms:
        async with writing(engine) as connection:
            rows = []
            for wanted in (_by_workflow(at), _in_all(at)):
                found: Any = (await connection.execute(wanted)).mappings().all()
                rows += [{"hour_ms": at, **row} for row in found]
            await upsert(connection, history_schema.node_hours, rows)
            final = max(0, min(at + HOUR_MS, now_ms - now_ms % HOUR_MS - _AGAIN_MS))
            await upsert(connection, history_schema.marks, [{"name": name, "at_ms": final}])
        written += len(rows)
        at += HOUR_MS
    return written


def _by_workflow(hour_ms: int) -> Select[*tuple[Any, ...]]:
    return (
        select(_jobs.fingerprint, _nodes.class_type, *_sums_of_nodes())
        .join_from(history_schema.node_runs, schema.jobs, _nodes.job_id == _jobs.id)
        .where(_within(hour_ms), _jobs.fingerprint != "")
        .group_by(_jobs.fingerprint, _nodes.class_type)
    )


def _in_all(hour_ms: int) -> Select[*tuple[Any, ...]]:
    return (
        select(literal("").label("fingerprint"), _nodes.class_type, *_sums_of_nodes())
        .where(_within(hour_ms))
        .group_by(_nodes.class_type)
    )


def _within(hour_ms: int) -> ColumnElement[bool]:
    return and_(_nodes.started_ms >= hour_ms, _nodes.started_ms < hour_ms + HOUR_MS)


def _sums_of_nodes() -> list[ColumnElement[Any]]:
    def count(condition: ColumnElement[bool]) -> Any:
        return func.sum(case((condition, 1), else_=0))

    ran = ~_nodes.cached
    took = case((ran, _nodes.seconds), else_=0.0)
    return [
        count(ran).label("runs"),
        count(_nodes.cached.is_(True)).label("cached"),
        count(_nodes.result == "failure").label("failures"),
        count(_nodes.fallback.is_not(None)).label("fallbacks"),
        func.sum(took).label("seconds"),
        func.max(took).label("longest"),
        func.coalesce(func.max(_nodes.peak_bytes), 0).label("peak_bytes"),
    ]
