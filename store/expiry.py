"""Deletes what has been kept for long enough, in small pieces: writers wait for none of them long."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Table, delete, func, select, true
from sqlalchemy.ext.asyncio import AsyncEngine

from store import advice_schema, alert_schema, schema
from store import history_schema as history
from store.engine import writing
from store.folding import STEPS, WAIT_STEPS

#: Time that one transaction deletes at most.
_PIECE_MS: Final = 6 * 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Up to when each kind is deleted, ms; None: nothing of it is."""

    seconds_ms: int
    ten_seconds_ms: int
    minutes_ms: int
    hours_ms: int | None
    nodes_ms: int
    curves_ms: int
    jobs_ms: int | None
    audit_ms: int


async def expire(engine: AsyncEngine, kept: Kept) -> None:
    """Delete what is too old."""
    short = (kept.seconds_ms, kept.ten_seconds_ms, kept.minutes_ms)
    of_steps = dict(zip_longest(STEPS, short, fillvalue=kept.hours_ms))
    for step, before in of_steps.items():
        for table in (history.gpu_samples, history.pool_samples):
            await _drop(engine, table, table.c.at_ms, before, table.c.step_s == step)
    for step, before in zip(WAIT_STEPS, (kept.ten_seconds_ms, kept.hours_ms), strict=True):
        waits = history.waits
        await _drop(engine, waits, waits.c.at_ms, before, waits.c.step_s == step)
    for table, column, before in (
        (history.node_runs, history.node_runs.c.started_ms, kept.nodes_ms),
        (history.prompt_runs, history.prompt_runs.c.started_ms, kept.nodes_ms),
        (history.model_moves, history.model_moves.c.at_ms, kept.nodes_ms),
        (history.gaps, history.gaps.c.until_ms, kept.nodes_ms),
        (history.curves, history.curves.c.at_ms, kept.curves_ms),
        (history.node_hours, history.node_hours.c.hour_ms, kept.hours_ms),
        (history.usage, history.usage.c.hour_ms, kept.hours_ms),
        (schema.attempts, schema.attempts.c.ended_ms, kept.jobs_ms),
        (schema.jobs, schema.jobs.c.ended_ms, kept.jobs_ms),
        (history.alerts, history.alerts.c.ended_ms, kept.audit_ms),
        (alert_schema.alert_messages, alert_schema.alert_messages.c.made_ms, kept.audit_ms),
        (history.audit, history.audit.c.at_ms, kept.audit_ms),
        (history.silences, history.silences.c.until_ms, kept.audit_ms),
        (advice_schema.advice, advice_schema.advice.c.ended_ms, kept.audit_ms),
    ):
        await _drop(engine, table, column, before)


async def _drop(
    engine: AsyncEngine,
    table: Table,
    column: Column[Any],
    before_ms: int | None,
    also: ColumnElement[bool] | None = None,
) -> None:
    if before_ms is None:
        return
    those = true() if also is None else also
    while True:
        async with engine.connect() as connection:
            first = await connection.scalar(
                select(func.min(column)).where(those, column < before_ms)
            )
        if first is None:
            return
        until = min(before_ms, first + _PIECE_MS)
        async with writing(engine) as connection:
            await connection.execute(delete(table).where(those, column < until))
