"""What usage is made of, as the recorder wrote it, and where its sums are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, and_, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store import history_schema, schema
from store.engine import writing
from store.upsert import upsert

#: a row whose columns are read by name
AnyRow = Row[*tuple[Any, ...]]
_attempts = schema.attempts.c
_jobs = schema.jobs.c
_samples = history_schema.gpu_samples.c
_usage = history_schema.usage
_marks = history_schema.marks
#: Samples that energy is added up from, in seconds: shorter ones first, which are kept less long.
_POWER_STEPS: Final = (1, 10, 60)
#: Name of the mark up to which usage is final.
USAGE_MARK: Final = "usage"
#: Name of the mark up to which the recorder has written transitions.
RECORDED_MARK: Final = "recorded"


class SqlAccounts:
    """Reads attempts, jobs and power; replaces the sums of whole hours."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def mark(self, name: str) -> int | None:
        """Up to when some regular work has come, ms; None: it never began."""
        async with self._engine.connect() as connection:
            return await _mark(connection, name)

    async def first_ms(self) -> int | None:
        """When the first attempt was admitted or the first job ended; None: there is none."""
        async with self._engine.connect() as connection:
            firsts = [
                await connection.scalar(select(func.min(_attempts.admitted_ms))),
                await connection.scalar(select(func.min(_jobs.ended_ms))),
            ]
        return min((first for first in firsts if first), default=None)

    async def unended(self) -> list[AnyRow]:
        """Attempts without an end: job, attempt, admission, and when their worker had the next."""
        later = schema.attempts.alias("later")
        following = (
            select(func.min(later.c.admitted_ms))
            .where(later.c.worker == _attempts.worker, later.c.admitted_ms > _attempts.admitted_ms)
            .scalar_subquery()
        )
        wanted = select(
            _attempts.job_id, _attempts.attempt, _attempts.admitted_ms, following.label("next_ms")
        ).where(_attempts.ended_ms.is_(None), _attempts.admitted_ms.is_not(None))
        async with self._engine.connect() as connection:
            return [*(await connection.execute(wanted)).all()]

    async def nameless_since(self, from_ms: int) -> int | None:
        """First admission, of attempts that ended after ``from_ms``, whose job has not ended."""
        ended = select(_jobs.id).where(_jobs.id == _attempts.job_id).exists()
        wanted = select(func.min(_attempts.admitted_ms)).where(
            _attempts.ended_ms >= from_ms, ~ended
        )
        async with self._engine.connect() as connection:
            first: int | None = await connection.scalar(wanted)
        return first

    async def attempts(self, from_ms: int, until_ms: int) -> list[AnyRow]:
        """Attempts that were on a worker at any time between the two, with their job's names."""
        wanted = (
            select(
                schema.attempts,
                _jobs.group_name,
                _jobs.fingerprint,
                _jobs.model,
            )
            .join_from(schema.attempts, schema.jobs, _attempts.job_id == _jobs.id, isouter=True)
            .where(
                or_(_attempts.ended_ms >= from_ms, _attempts.ended_ms.is_(None)),
                _attempts.admitted_ms < until_ms,
            )
        )
        async with self._engine.connect() as connection:
            return [*(await connection.execute(wanted)).all()]

    async def ended(self, from_ms: int, until_ms: int) -> list[AnyRow]:
        """Jobs that ended between the two, with their first admission."""
        first = (
            select(_attempts.admitted_ms)
            .where(_attempts.job_id == _jobs.id, _attempts.attempt == 1)
            .scalar_subquery()
        )
        wanted = select(
            _jobs.user_name,
            _jobs.group_name,
            _jobs.fingerprint,
            _jobs.model,
            _jobs.gpu,
            _jobs.state,
            _jobs.submitted_ms,
            _jobs.ended_ms,
            first.label("first_ms"),
        ).where(_jobs.ended_ms >= from_ms, _jobs.ended_ms < until_ms)
        async with self._engine.connect() as connection:
            return [*(await connection.execute(wanted)).all()]

    async def power(self, from_ms: int, until_ms: int) -> list[AnyRow]:
        """What GPUs drew between the two: each second, or longer steps where those are gone."""
        wanted = (
            select(_samples.gpu, _samples.at_ms, _samples.step_s, _samples.power_mw)
            .where(
                _samples.step_s.in_(_POWER_STEPS),
                _samples.at_ms >= from_ms,
                _samples.at_ms < until_ms,
                _samples.power_mw.is_not(None),
            )
            .order_by(_samples.step_s)
        )
        async with self._engine.connect() as connection:
            return _finest((await connection.execute(wanted)).all())

    async def replace(
        self, from_ms: int, until_ms: int, rows: Sequence[Mapping[str, Any]], final_ms: int
    ) -> None:
        """Put these sums in the place of those hours' old ones; up to ``final_ms`` for good."""
        hours = and_(_usage.c.hour_ms >= from_ms, _usage.c.hour_ms < until_ms)
        async with writing(self._engine) as connection:
            await connection.execute(delete(_usage).where(hours))
            await upsert(connection, _usage, rows)
            await upsert(connection, _marks, [{"name": USAGE_MARK, "at_ms": final_ms}])


async def _mark(connection: AsyncConnection, name: str) -> int | None:
    found: int | None = await connection.scalar(select(_marks.c.at_ms).where(_marks.c.name == name))
    return found


def _finest(rows: Iterable[AnyRow]) -> list[AnyRow]:
    """Rows by step, without those of whose time there is a shorter one."""
    found: list[AnyRow] = []
    covered: set[tuple[str, int, int]] = set()
    for row in rows:
        if (row.gpu, row.step_s, row.at_ms) in covered:
            continue
        found.append(row)
        for step in _POWER_STEPS:
            if step > row.step_s:
                covered.add((row.gpu, step, row.at_ms - row.at_ms % (step * 1000)))
    return found
