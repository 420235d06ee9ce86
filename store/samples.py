"""Curves of GPUs and of the queue, of any span, with their gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store import history_schema
from store.folding import STEPS, Fold

#: Points of one curve at most, where it is alone and where all GPUs' are read: as many as a wide
#: screen has columns, and a page of eight GPUs that is no larger than needed.
MOST_POINTS: Final = 2200
MOST_POINTS_OF_ALL: Final = 740
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Rows of one step, oldest first, and where there are none."""

    step_s: int
    rows: tuple[Row, ...]
    #: (from, until) ms, by name: times without figures. Never to be drawn as zeros.
    gaps: Mapping[str, tuple[tuple[int, int], ...]]


def step_for(span_ms: int, most: int = MOST_POINTS) -> int:
    """The shortest step with which a span has at most so many points."""
    return next((step for step in STEPS if span_ms <= step * 1000 * most), STEPS[-1])


class SqlSamples:
    """Reads samples. ``fold_gpus``, ``fold_pool``: make longer steps of what is not made yet."""

    def __init__(self, engine: AsyncEngine, fold_gpus: Fold, fold_pool: Fold) -> None:
        self._engine = engine
        self._fold_gpus = fold_gpus
        self._fold_pool = fold_pool

    async def gpus(
        self, from_ms: int, until_ms: int, *, gpu: str | None = None, step_s: int | None = None
    ) -> Series:
        """Memory and load of all GPUs, or of one."""
        table = history_schema.gpu_samples
        most = MOST_POINTS if gpu is not None else MOST_POINTS_OF_ALL
        step = step_s or await self._kept(table, step_for(until_ms - from_ms, most), from_ms)

        def name(row: Row) -> str:
            return str(row["gpu"])

        rows = await self._read(table, step, from_ms, until_ms, self._fold_gpus, gpu)
        return _series(rows, step, from_ms, until_ms, name)

    async def pool(self, from_ms: int, until_ms: int, *, step_s: int | None = None) -> Series:
        """Queue and running jobs."""
        table = history_schema.pool_samples
        step = step_s or await self._kept(table, step_for(until_ms - from_ms), from_ms)
        rows = await self._read(table, step, from_ms, until_ms, self._fold_pool, None)
        return _series(rows, step, from_ms, until_ms, lambda _: "")

    async def _kept(self, table: Table, wanted: int, from_ms: int) -> int:
        """The shortest step from ``wanted`` on that is kept for as far back as any is."""
        oldest: dict[int, int] = {}
        async with self._engine.connect() as connection:
            for step in [one for one in STEPS if one >= wanted]:
                at = await connection.scalar(
                    select(func.min(table.c.at_ms)).where(table.c.step_s == step)
                )
                if at is not None:
                    oldest[step] = at
                if at is not None and at <= from_ms:
                    break  # longer ones reach no further than is asked for
        for step, at in oldest.items():
            longer = [(one, first) for one, first in oldest.items() if one > step]
            # a longer step begins before its first figures, by less than itself
            if all(at < max(from_ms, first) + one * 1000 for one, first in longer):
                return step
        return wanted

    async def _read(
        self, table: Table, step: int, from_ms: int, until_ms: int, fold: Fold, gpu: str | None
    ) -> list[Row]:
        """Rows of the step, and at its newer end what is there of shorter ones, folded."""
        async with self._engine.connect() as connection:
            rows = await _span(connection, table, step, from_ms, until_ms, gpu)
            newest = await _newest(connection, table, step)
            at = from_ms if newest is None else max(from_ms, newest + step * 1000)
            tail: list[Row] = []
            for shorter in reversed([one for one in STEPS if one < step]):
                if at >= until_ms:
                    break
                tail += await _span(connection, table, shorter, at, until_ms, gpu)
                newest = await _newest(connection, table, shorter)
                at = at if newest is None else max(at, newest + shorter * 1000)
        return [*rows, *sorted(fold(tail, step), key=lambda row: (row["at_ms"], row.get("gpu")))]


async def _newest(connection: AsyncConnection, table: Table, step: int) -> int | None:
    newest: int | None = await connection.scalar(
        select(func.max(table.c.at_ms)).where(table.c.step_s == step)
    )
    return newest


async def _span(
    connection: AsyncConnection,
    table: Table,
    step: int,
    from_ms: int,
    until_ms: int,
    gpu: str | None,
) -> list[Row]:
    wanted = (
        select(table)
        .where(table.c.step_s == step, table.c.at_ms >= from_ms, table.c.at_ms < until_ms)
        .order_by(table.c.at_ms)
    )
    if gpu is not None:
        wanted = wanted.where(table.c.gpu == gpu)
    found: Any = (await connection.execute(wanted)).mappings().all()
    return list(found)


def _series(
    rows: list[Row], step: int, from_ms: int, until_ms: int, name: Callable[[Row], str]
) -> Series:
    return Series(
        step_s=step,
        rows=tuple(rows),
        gaps=find_gaps(((name(row), row["at_ms"]) for row in rows), step, from_ms, until_ms),
    )


def find_gaps(
    points: Iterable[tuple[str, int]], step: int, from_ms: int, until_ms: int
) -> dict[str, tuple[tuple[int, int], ...]]:
    """Times without a point, by name; a single point that is late by less than a step is none."""
    last: dict[str, int] = {}
    gaps: dict[str, list[tuple[int, int]]] = {}
    step_ms = step * 1000
    for name, at_ms in points:
        reached = last.get(name, from_ms)
        if at_ms - reached >= 2 * step_ms:
            gaps.setdefault(name, []).append((reached, at_ms))
        last[name] = at_ms + step_ms
    for name, reached in last.items():
        if until_ms - reached >= 2 * step_ms:
            gaps.setdefault(name, []).append((reached, until_ms))
    return {name: tuple(found) for name, found in gaps.items()}
