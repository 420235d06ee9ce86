"""What was asked for when, as the history of ended jobs has it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from scheduler.rhythm import STRETCH_MS, Usage
from scheduler.states import Lane
from store import schema
from store.records import PastRequest

_jobs = schema.jobs.c
#: Run time as measured, or as expected of a job that was lost in the middle.
_SECONDS: Final = case((_jobs.run_seconds > 0, _jobs.run_seconds), else_=_jobs.need_seconds)


class SqlUsage:
    """Reads the recorder's jobs; those that ran on a GPU, whatever became of them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def first_ms(self) -> int | None:
        """When the oldest of them was sent; None: there is none."""
        async with self._engine.connect() as connection:
            first: int | None = await connection.scalar(
                select(func.min(_jobs.submitted_ms)).where(_ran(0))
            )
        return first

    async def usages(self, since_ms: int) -> list[Usage]:
        """Requests and work by model and stretch of time (``STRETCH_MS``)."""
        stretch = _jobs.submitted_ms // STRETCH_MS
        seconds = case((_jobs.lane == Lane.INTERACTIVE.value, _SECONDS), else_=0.0)
        wanted = (
            select(
                stretch.label("stretch"),
                _jobs.model,
                func.count().label("requests"),
                func.sum(seconds).label("seconds"),
                func.max(_jobs.model_bytes).label("bytes"),
                func.max(_jobs.load_seconds).label("load_seconds"),
            )
            .where(_ran(since_ms))
            .group_by("stretch", _jobs.model)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        return [
            Usage(
                at_ms=row.stretch * STRETCH_MS,
                model=row.model,
                requests=row.requests,
                seconds=float(row.seconds),
                bytes=row.bytes,
                load_seconds=row.load_seconds,
            )
            for row in rows
        ]

    async def newest(self, since_ms: int, most: int) -> list[PastRequest]:
        """The newest requests at most so many, oldest first."""
        wanted = (
            select(
                _jobs.submitted_ms,
                _jobs.user_name,
                _jobs.group_name,
                _jobs.lane,
                _jobs.model,
                _jobs.model_bytes,
                _jobs.load_seconds,
                _jobs.need_bytes,
                _SECONDS.label("seconds"),
            )
            .where(_ran(since_ms))
            .order_by(_jobs.submitted_ms.desc(), _jobs.id)
            .limit(most)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        return [
            PastRequest(
                submitted_ms=row.submitted_ms,
                user=row.user_name,
                group=row.group_name,
                lane=Lane(row.lane),
                model=row.model,
                model_bytes=row.model_bytes,
                load_seconds=row.load_seconds,
                need_bytes=row.need_bytes,
                run_seconds=row.seconds,
            )
            for row in reversed(rows)
        ]


def _ran(since_ms: int) -> ColumnElement[bool]:
    # ``ended_ms`` has an index, and nothing ends before it was sent. Rows of jobs whose record
    # was gone have no ``started_ms``.
    return and_(
        _jobs.ended_ms >= since_ms,
        _jobs.submitted_ms >= since_ms,
        _jobs.started_ms > 0,
        _jobs.needs_gpu,
    )
