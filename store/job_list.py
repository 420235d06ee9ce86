"""Ended jobs by whatever a page filters them by, a page at a time, and one job's bodies.

Lists read only columns that lie before the bodies: what lies behind them takes long to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from store import history_schema, schema

_jobs = schema.jobs.c
_waits = history_schema.waits.c
#: Waits are counted for each of these; a span that is longer than an hour takes hours.
_TEN_SECONDS: Final = 10
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHead:
    """An ended job without its bodies; ``store.schema.jobs`` has the units."""

    id: str
    user_name: str
    group_name: str
    prompt_id: str
    state: str
    reason: str | None
    lane: str
    fingerprint: str
    attempts: int
    losses: int
    ooms: int
    worker: str
    gpu: str
    needs_gpu: bool
    need_bytes: int
    need_seconds: float
    run_seconds: float
    reserved_bytes: int
    peak_bytes: int
    submitted_ms: int
    admitted_ms: int
    started_ms: int
    ended_ms: int


_HEAD: Final = tuple(_jobs[name] for name in JobHead.__slots__)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs; None: any."""

    user: str | None = None
    states: tuple[str, ...] | None = None
    fingerprint: str | None = None
    #: by their ends
    from_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Waited:
    """Time that a user's jobs waited for a reason."""

    reason: str
    #: ``gpu:<id>``, ``worker:<id>``, ``user:<name>``, "": none in particular
    blocker: str
    job_ms: int


class SqlJobs:
    """Reads ended jobs. Whose they are is the caller's to check."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(
        self, wanted: JobFilter, *, before: tuple[int, str] | None = None, most: int
    ) -> list[JobHead]:
        """Newest first.

        Args:
            wanted: which.
            before: end (ms) and id of the last job of the page before; None: the first page.
            most: how many.
        """
        query = _matching(select(*_HEAD), wanted)
        if before is not None:
            ended_ms, job_id = before
            query = query.where(
                _jobs.ended_ms <= ended_ms, or_(_jobs.ended_ms < ended_ms, _jobs.id < job_id)
            )
        query = query.order_by(_jobs.ended_ms.desc(), _jobs.id.desc()).limit(most)
        async with self._engine.connect() as connection:
            found: Any = (await connection.execute(query)).mappings().all()
        return [JobHead(**row) for row in found]

    async def one(self, job_id: str) -> JobHead | None:
        """The ended job with this id."""
        return await self._first(select(*_HEAD).where(_jobs.id == job_id))

    async def find(self, user: str, prompt_id: str) -> JobHead | None:
        """The user's ended job that its client knows by this id; the newest of several."""
        query = select(*_HEAD).where(_jobs.user_name == user, _jobs.prompt_id == prompt_id)
        return await self._first(query.order_by(_jobs.ended_ms.desc()).limit(1))

    async def first_admissions(self, job_ids: Sequence[str]) -> dict[str, int]:
        """When these jobs' first attempts were admitted, ms; those that had none are left out."""
        tries = schema.attempts.c
        query = select(tries.job_id, tries.admitted_ms).where(
            tries.job_id.in_(job_ids), tries.attempt == 1, tries.admitted_ms.is_not(None)
        )
        async with self._engine.connect() as connection:
            return {job: at_ms for job, at_ms in (await connection.execute(query)).all()}

    async def worker_of(self, job_id: str, attempt: int) -> str:
        """Where an attempt ran; "": nowhere that is known."""
        tries = schema.attempts.c
        query = select(tries.worker).where(tries.job_id == job_id, tries.attempt == attempt)
        async with self._engine.connect() as connection:
            return await connection.scalar(query) or ""

    async def bodies(self, job_id: str) -> tuple[bytes | None, bytes | None]:
        """Prompt and result, JSON; None: not kept."""
        query = select(_jobs.prompt, _jobs.result).where(_jobs.id == job_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).first()
        return (None, None) if row is None else (row.prompt, row.result)

    async def samples(self, fingerprints: Sequence[str]) -> dict[str, tuple[bytes | None, str]]:
        """The newest job's prompt and main model of each of these workflows."""
        newest = (
            select(_jobs.fingerprint, func.max(_jobs.ended_ms).label("ended_ms"))
            .where(_jobs.fingerprint.in_(fingerprints))
            .group_by(_jobs.fingerprint)
            .subquery()
        )
        query = select(_jobs.fingerprint, _jobs.prompt, _jobs.model).join(
            newest,
            and_(_jobs.fingerprint == newest.c.fingerprint, _jobs.ended_ms == newest.c.ended_ms),
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return {row.fingerprint: (row.prompt, row.model) for row in rows}

    async def models(self, fingerprints: Sequence[str]) -> dict[str, str]:
        """The main model of each of these workflows, as their sums of usage have it."""
        usage = history_schema.usage.c
        query = (
            select(usage.fingerprint, func.max(usage.model))
            .where(usage.fingerprint.in_(fingerprints))
            .group_by(usage.fingerprint)
        )
        async with self._engine.connect() as connection:
            return {kind: model for kind, model in (await connection.execute(query)).all()}

    async def waited(self, user: str, from_ms: int, until_ms: int) -> list[Waited]:
        """What the user's jobs waited for between two times, longest first."""
        step = _TEN_SECONDS if until_ms - from_ms <= _HOUR_S * 1000 else _HOUR_S
        time = func.sum(_waits.job_ms)
        query = (
            select(_waits.reason, _waits.blocker, time)
            .where(
                _waits.step_s == step,
                # a step that has begun before has something of the span, too
                _waits.at_ms > from_ms - step * 1000,
                _waits.at_ms < until_ms,
                _waits.user_name == user,
            )
            .group_by(_waits.reason, _waits.blocker)
            .order_by(time.desc(), _waits.reason, _waits.blocker)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [Waited(reason, blocker, int(job_ms)) for reason, blocker, job_ms in rows]

    async def _first(self, query: Select[*tuple[Any, ...]]) -> JobHead | None:
        async with self._engine.connect() as connection:
            row: Any = (await connection.execute(query)).mappings().first()
        return None if row is None else JobHead(**row)


def _matching(query: Select[*tuple[Any, ...]], wanted: JobFilter) -> Select[*tuple[Any, ...]]:
    checks: list[ColumnElement[bool]] = []
    if wanted.user is not None:
        checks.append(_jobs.user_name == wanted.user)
    if wanted.states is not None:
        checks.append(_jobs.state.in_(wanted.states))
    if wanted.fingerprint is not None:
        checks.append(_jobs.fingerprint == wanted.fingerprint)
    if wanted.from_ms is not None:
        checks.append(_jobs.ended_ms >= wanted.from_ms)
    if wanted.until_ms is not None:
        checks.append(_jobs.ended_ms < wanted.until_ms)
    return query.where(*checks)
