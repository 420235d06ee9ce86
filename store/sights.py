"""What alert rules look at in the store: long node runs and how usual they are, ended jobs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from store import history_schema, schema
from store.accounts import RECORDED_MARK

_nodes = history_schema.node_runs.c
_jobs = schema.jobs.c
_moves = history_schema.model_moves.c
_hours = history_schema.node_hours.c
_marks = history_schema.marks.c
#: Newest runs of a workflow that a node is compared with.
COMPARED_RUNS: Final = 50
#: Long runs and ended jobs that one look reads at most.
_MOST_RUNS: Final = 500
_MOST_JOBS: Final = 5000
#: A node that ran for longer than this was never looked for.
_LONGEST_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LongRun:
    """A node that took long. ``usual`` is what makes it worth telling, or not."""

    job: str
    attempt: int
    node: str
    user: str
    group: str
    class_type: str
    started_ms: int
    seconds: float
    #: of these, loading models
    load_seconds: float
    fallback: str | None
    #: seconds that it usually takes, in this workflow or else in any; None: too few know
    usual: float | None

    @property
    def ended_ms(self) -> int:
        """When it was over."""
        return self.started_ms + int(self.seconds * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """A job that ended."""

    id: str
    prompt_id: str
    user: str
    group: str
    state: str
    reason: str | None
    worker: str
    gpu: str
    ended_ms: int
    need_bytes: int
    reserved_bytes: int
    peak_bytes: int
    ooms: int


class SqlSights:
    """Reads for whoever looks at alert rules."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def long_runs(
        self, since_ms: int, seconds: float, most: int = _MOST_RUNS
    ) -> list[LongRun]:
        """Nodes that took at least so long (1 s or more) and ended since then, newest first.

        Without workflow and group: those are the ledger's to tell while a job runs.
        """
        wanted = (
            select(
                _nodes.job_id.label("job"),
                _nodes.attempt,
                _nodes.node,
                _nodes.user_name.label("user"),
                _nodes.class_type,
                _nodes.started_ms,
                _nodes.seconds,
                _nodes.fallback,
            )
            .where(
                history_schema.LONG_RUN,
                _nodes.started_ms >= since_ms - _LONGEST_MS,
                _nodes.started_ms + _nodes.seconds * 1000 >= since_ms,
                _nodes.seconds >= seconds,
            )
            .order_by(_nodes.started_ms.desc())
            .limit(most)
        )
        async with self._engine.connect() as connection:
            found: Any = (await connection.execute(wanted)).mappings().all()
        return [LongRun(**row, group="", load_seconds=0.0, usual=None) for row in found]

    async def loads(self, jobs: Collection[str]) -> dict[tuple[str, int, str], float]:
        """Seconds that nodes of these jobs spent on loading models, by job, attempt and node."""
        if not jobs:
            return {}
        wanted = (
            select(_moves.job_id, _moves.attempt, _moves.node, func.sum(_moves.seconds))
            .where(_moves.job_id.in_(jobs), _moves.what == "load")
            .group_by(_moves.job_id, _moves.attempt, _moves.node)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        return {(job, attempt, node): seconds for job, attempt, node, seconds in rows}

    async def usual(self, fingerprint: str, before_ms: int) -> dict[str, tuple[float, int]]:
        """Median seconds of a workflow's nodes by class, and how many runs these are of."""
        recent = (
            select(_jobs.id, _jobs.attempts)
            .where(
                _jobs.fingerprint == fingerprint,
                _jobs.ended_ms < before_ms,
                _jobs.state == "SUCCEEDED",
            )
            .order_by(_jobs.ended_ms.desc())
            .limit(COMPARED_RUNS)
            .subquery()
        )
        same = and_(_nodes.job_id == recent.c.id, _nodes.attempt == recent.c.attempts)
        wanted = (
            select(_nodes.class_type, _nodes.seconds)
            .join_from(recent, history_schema.node_runs, same)
            .where(~_nodes.cached)
        )
        found: dict[str, list[float]] = defaultdict(list)
        async with self._engine.connect() as connection:
            for class_type, seconds in (await connection.execute(wanted)).all():
                found[class_type].append(seconds)
        return {name: (statistics.median(took), len(took)) for name, took in found.items()}

    async def class_usual(self, from_ms: int, until_ms: int) -> dict[str, tuple[float, int]]:
        """The same over all workflows, from the sums of hours: means."""
        runs, seconds = func.sum(_hours.runs), func.sum(_hours.seconds)
        wanted = (
            select(_hours.class_type, runs, seconds)
            .where(_hours.fingerprint == "", _hours.hour_ms >= from_ms, _hours.hour_ms < until_ms)
            .group_by(_hours.class_type)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        return {name: (took / int(count), int(count)) for name, count, took in rows if count}

    async def ended(self, since_ms: int) -> list[EndedJob]:
        """Jobs that ended since then, newest first."""
        # only columns that lie before the bodies: what lies behind them takes long to read
        wanted = (
            select(
                _jobs.id,
                _jobs.prompt_id,
                _jobs.user_name.label("user"),
                _jobs.group_name.label("group"),
                _jobs.state,
                _jobs.reason,
                _jobs.worker,
                _jobs.gpu,
                _jobs.ended_ms,
                _jobs.need_bytes,
                _jobs.reserved_bytes,
                _jobs.peak_bytes,
                _jobs.ooms,
            )
            .where(_jobs.ended_ms >= since_ms)
            .order_by(_jobs.ended_ms.desc())
            .limit(_MOST_JOBS)
        )
        async with self._engine.connect() as connection:
            found: Any = (await connection.execute(wanted)).mappings().all()
        return [EndedJob(**row) for row in found]

    async def workflows(self, jobs: Collection[str]) -> dict[str, tuple[str, str]]:
        """Fingerprint and group of jobs that have ended."""
        if not jobs:
            return {}
        wanted = select(_jobs.id, _jobs.fingerprint, _jobs.group_name).where(_jobs.id.in_(jobs))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        return {job: (fingerprint, group) for job, fingerprint, group in rows}

    async def recorded_ms(self) -> int | None:
        """Up to when transitions are in the store; None: none ever was."""
        async with self._engine.connect() as connection:
            found: int | None = await connection.scalar(
                select(_marks.at_ms).where(_marks.name == RECORDED_MARK)
            )
        return found
