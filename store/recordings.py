"""Everything of one job or of a span of time, in pages: a long read keeps no transaction open.

Who may read what is decided by the ``Scope`` that the caller makes.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Select, and_, case, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from store import history_schema, schema
from store.advice import ADMINS, KeptAdvice, SqlAdvice
from store.folding import HOUR_MS, WAIT_STEPS

Row = Mapping[str, Any]
#: Rows of one page, and of parts that are never many.
_PAGE: Final = 2000
_DAY_MS: Final = 86_400_000
#: A job that was there within a span has ended at most so long after it: nothing looks further.
_LATER_MS: Final = 7 * _DAY_MS
_jobs, _attempts = schema.jobs.c, schema.attempts.c
_prompts, _nodes = history_schema.prompt_runs.c, history_schema.node_runs.c
_moves, _curves = history_schema.model_moves.c, history_schema.curves.c
_alerts, _gaps = history_schema.alerts.c, history_schema.gaps.c
_waits, _usage = history_schema.waits.c, history_schema.usage.c
#: Columns of jobs before their bodies: what lies behind takes long to read.
_OF_JOBS: Final = (
    "id", "user_name", "group_name", "state", "reason", "lane", "fingerprint", "attempts",
    "losses", "ooms", "worker", "gpu", "need_bytes", "need_seconds", "run_seconds",
    "reserved_bytes", "peak_bytes", "submitted_ms", "admitted_ms", "started_ms", "ended_ms",
)  # fmt: skip
_OF_PROMPTS: Final = (
    "started_ms", "seconds", "result", "nodes", "cached", "peak_allocated", "peak_reserved",
    "allocated_before", "allocated_after", "reserved_before", "reserved_after", "limit_bytes",
    "loads", "load_seconds", "overlap", "retained",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is read: from … until, ms since the epoch; only a user's, only a job's."""

    from_ms: int
    until_ms: int
    user: str | None = None
    job: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A job that something is kept of, and from when to when it was there; ms."""

    job: str
    user: str
    from_ms: int
    until_ms: int


class SqlRecordings:
    """Reads what the recorder has, for files."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find(self, name: str, user: str | None) -> Found | None:
        """The newest job with this id or, among a user's, this prompt id; None: there is none."""
        first = func.coalesce(func.nullif(_jobs.submitted_ms, 0), _jobs.ended_ms)
        ended = select(_jobs.id, _jobs.user_name, first, _jobs.ended_ms)
        ended = ended.order_by(_jobs.ended_ms.desc()).limit(1)
        # one after the other: no index serves "id or prompt id"
        wanted = [ended.where(_jobs.id == name)]
        if user is not None:
            wanted = [wanted[0].where(_jobs.user_name == user)]
            wanted.append(ended.where(_jobs.user_name == user, _jobs.prompt_id == name))
        wanted.append(_tried(name, user))
        async with self._engine.connect() as connection:
            for query in wanted:
                row = (await connection.execute(query)).first()
                if row is not None:
                    return Found(*row)
        return None

    async def jobs(self, scope: Scope) -> AsyncIterator[Row]:
        """Ended jobs that were there within the span, by their ends."""
        wanted = select(*(_jobs[name] for name in _OF_JOBS))
        if scope.job is not None:
            wanted = wanted.where(_jobs.id == scope.job)
        else:
            later = scope.until_ms + _LATER_MS
            wanted = wanted.where(_jobs.ended_ms < later, _jobs.submitted_ms < scope.until_ms)
        keys = (_jobs.ended_ms, _jobs.id)
        async for row in self._paged(_whose(wanted, scope, _jobs.user_name), keys, scope.from_ms):
            yield row

    async def count_jobs(self, scope: Scope) -> int:
        """How many these are."""
        later = scope.until_ms + _LATER_MS
        wanted = select(func.count()).where(
            _jobs.ended_ms >= scope.from_ms,
            _jobs.ended_ms < later,
            _jobs.submitted_ms < scope.until_ms,
        )
        async with self._engine.connect() as connection:
            found = await connection.scalar(_whose(wanted, scope, _jobs.user_name))
        return found or 0

    async def models(self, scope: Scope) -> dict[str, str]:
        """Largest model by fingerprint, of what ran within the span."""
        wanted = (
            select(_usage.fingerprint, func.max(_usage.model))
            .where(
                _usage.hour_ms >= scope.from_ms - scope.from_ms % HOUR_MS,
                _usage.hour_ms < scope.until_ms,
            )
            .group_by(_usage.fingerprint)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_whose(wanted, scope, _usage.user_name))).all()
        return {row[0]: row[1] for row in rows}

    async def runs(self, scope: Scope) -> AsyncIterator[Row]:
        """Attempts that were at work within the span, and what their probes said; unfinished last."""
        told = history_schema.prompt_runs
        same = and_(_prompts.job_id == _attempts.job_id, _prompts.attempt == _attempts.attempt)
        wanted = (
            select(schema.attempts, *(_prompts[name] for name in _OF_PROMPTS))
            .select_from(schema.attempts)
            .outerjoin(told, same)
        )
        wanted = _whose(wanted, scope, _attempts.user_name)
        if scope.job is not None:
            mine = wanted.where(_attempts.job_id == scope.job).order_by(_attempts.attempt)
            for row in await self._few(mine):
                yield row
            return
        done = wanted.where(
            _attempts.ended_ms < scope.until_ms + _LATER_MS,
            _attempts.admitted_ms < scope.until_ms,
        )
        keys = (_attempts.ended_ms, _attempts.job_id, _attempts.attempt)
        async for row in self._paged(done, keys, scope.from_ms):
            yield row
        running = wanted.where(
            _attempts.ended_ms.is_(None),
            _attempts.admitted_ms >= scope.from_ms - _DAY_MS,
            _attempts.admitted_ms < scope.until_ms,
        )
        for row in await self._few(running.order_by(_attempts.admitted_ms)):
            yield row

    async def nodes(self, scope: Scope, least_s: float = 0.0) -> AsyncIterator[Row]:
        """Node runs that began within the span. ``least_s``: without cached and shorter ones."""
        wanted = select(history_schema.node_runs)
        if least_s > 0:
            wanted = wanted.where(_nodes.seconds >= least_s, ~_nodes.cached)
        if scope.job is not None:
            mine = _whose(wanted, scope, _nodes.user_name).where(_nodes.job_id == scope.job)
            keys: tuple[Column[Any], ...] = (_nodes.started_ms, _nodes.attempt, _nodes.node)
            async for row in self._paged(mine, keys, 0):
                yield row
            return
        wanted = _whose(wanted.where(_nodes.started_ms < scope.until_ms), scope, _nodes.user_name)
        keys = (_nodes.started_ms, _nodes.job_id, _nodes.attempt, _nodes.node)
        async for row in self._paged(wanted, keys, scope.from_ms):
            yield row

    async def count_nodes(self, scope: Scope, least_s: Sequence[float]) -> list[int]:
        """How many node runs there are in all, and how many that ran at least so long each."""
        counts = [
            func.sum(case((and_(_nodes.seconds >= least, ~_nodes.cached), 1), else_=0))
            for least in least_s
        ]
        wanted = select(func.count(), *counts)
        if scope.job is not None:
            wanted = wanted.where(_nodes.job_id == scope.job)
        else:
            wanted = wanted.where(
                _nodes.started_ms >= scope.from_ms, _nodes.started_ms < scope.until_ms
            )
        async with self._engine.connect() as connection:
            row = (await connection.execute(_whose(wanted, scope, _nodes.user_name))).one()
        return [int(count or 0) for count in row]

    async def moves(self, scope: Scope) -> AsyncIterator[Row]:
        """Models that came or went within the span."""
        wanted = _whose(select(history_schema.model_moves), scope, _moves.user_name)
        if scope.job is not None:
            mine = wanted.where(_moves.job_id == scope.job)
            for row in await self._few(mine.order_by(_moves.at_ms, _moves.seq)):
                yield row
            return
        keys = (_moves.at_ms, _moves.worker, _moves.boot, _moves.seq)
        within = wanted.where(_moves.at_ms < scope.until_ms)
        async for row in self._paged(within, keys, scope.from_ms):
            yield row

    async def curves(
        self, worker: str, from_ms: int, until_ms: int
    ) -> AsyncIterator[tuple[int, int, int, int | None]]:
        """A worker's memory: (ms, allocated, reserved, free on the device), oldest first."""
        wanted = select(_curves.at_ms, _curves.points).where(
            _curves.worker == worker, _curves.at_ms < until_ms
        )
        # a piece is about a second long and named by its first point
        async for row in self._paged(wanted, (_curves.at_ms,), from_ms - 5000):
            for offset, allocated, reserved, free in json.loads(row["points"]):
                at_ms = row["at_ms"] + offset
                if from_ms <= at_ms < until_ms:
                    yield at_ms, allocated, reserved, free

    async def gaps(self, scope: Scope, workers: Iterable[str]) -> list[Row]:
        """Records of these workers that are lost."""
        subjects = [f"worker:{worker}" for worker in workers]
        wanted = select(history_schema.gaps).where(
            _gaps.subject.in_(subjects),
            _gaps.until_ms >= scope.from_ms,
            _gaps.until_ms < scope.until_ms,
        )
        return await self._few(wanted.order_by(_gaps.until_ms))

    async def alerts(self, scope: Scope) -> list[Row]:
        """Alerts that held within the span, newest first."""
        wanted = select(
            _alerts.rule, _alerts.subject, _alerts.since_ms, _alerts.ended_ms, _alerts.value,
            _alerts.worst, _alerts.threshold, _alerts.severity,
        ).where(
            _alerts.since_ms < scope.until_ms,
            or_(_alerts.ended_ms.is_(None), _alerts.ended_ms >= scope.from_ms),
        )  # fmt: skip
        if scope.job is not None:
            wanted = wanted.where(_alerts.subject == f"job:{scope.job}")
        whose = _whose(wanted, scope, _alerts.user_name)
        return await self._few(whose.order_by(_alerts.since_ms.desc()))

    async def advice(self, scope: Scope) -> list[KeptAdvice]:
        """What was found and held within the span, as the scope's user, or the admins, have it."""
        whose = ADMINS if scope.user is None else scope.user
        found = await SqlAdvice(self._engine).all(whose, ended_after_ms=scope.from_ms)
        return [one for one in found if one.since_ms < scope.until_ms and not one.dismissed]

    async def waits(self, scope: Scope) -> list[Row]:
        """What jobs waited for within the span, longest first."""
        step = WAIT_STEPS[0] if scope.until_ms - scope.from_ms < _DAY_MS else WAIT_STEPS[-1]
        time = func.sum(_waits.job_ms)
        wanted = (
            select(_waits.reason, _waits.blocker, time.label("job_ms"))
            .where(
                _waits.step_s == step,
                _waits.at_ms >= scope.from_ms - scope.from_ms % (step * 1000),
                _waits.at_ms < scope.until_ms,
            )
            .group_by(_waits.reason, _waits.blocker)
            .order_by(time.desc())
        )
        return await self._few(_whose(wanted, scope, _waits.user_name))

    async def _paged(
        self, wanted: Select[*tuple[Any, ...]], keys: tuple[Column[Any], ...], first: int
    ) -> AsyncIterator[Row]:
        """Rows by their keys, of which the first is a number of at least ``first``."""
        ordered = wanted.order_by(*keys)
        page = ordered.where(keys[0] >= first)
        while True:
            rows = await self._few(page)
            for row in rows:
                yield row
            if len(rows) < _PAGE:
                return
            last = tuple(rows[-1][key.name] for key in keys)
            # the bare bound lets the database begin in its index
            page = ordered.where(keys[0] >= last[0], tuple_(*keys) > tuple_(*last))

    async def _few(self, wanted: Select[*tuple[Any, ...]]) -> list[Row]:
        async with self._engine.connect() as connection:
            found: Any = (await connection.execute(wanted.limit(_PAGE))).mappings().all()
        return list(found)


def _tried(name: str, user: str | None) -> Select[*tuple[Any, ...]]:
    """A job that has not ended, by its attempts; one that runs is there for an hour at most."""
    begun = func.coalesce(_attempts.admitted_ms, _attempts.ended_ms)
    last = func.max(func.coalesce(_attempts.ended_ms, begun + HOUR_MS))
    wanted = select(_attempts.job_id, _attempts.user_name, func.min(begun), last)
    wanted = wanted.where(_attempts.job_id == name, begun.is_not(None))
    if user is not None:
        wanted = wanted.where(_attempts.user_name == user)
    return wanted.group_by(_attempts.job_id, _attempts.user_name)


def _whose(
    wanted: Select[*tuple[Any, ...]], scope: Scope, user: ColumnElement[str]
) -> Select[*tuple[Any, ...]]:
    return wanted if scope.user is None else wanted.where(user == scope.user)
