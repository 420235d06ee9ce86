"""A workflow's nodes by single runs: those that fail, and what they took for one user.

What all users' nodes took is summed up by the hour (``store.workflows``); sums know no user, and
no error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from store import history_schema, schema
from store.workflows import NodeClass

_jobs = schema.jobs.c
_nodes = history_schema.node_runs.c
#: Newest jobs of a workflow that are looked at.
MOST_JOBS: Final = 500
#: Rows that are given at most.
_MOST_ROWS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingNode:
    """A node that failed with one kind of error, as often as it did."""

    node: str
    class_type: str
    #: type of the exception
    error: str
    failures: int
    last_ms: int
    #: the last job that failed there
    job: str


class SqlWorkflowNodes:
    """Reads what the recorder has of nodes of a workflow's newest jobs."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def failing(
        self, fingerprint: str, from_ms: int, until_ms: int, *, user: str | None = None
    ) -> list[FailingNode]:
        """Nodes that failed, the most frequent first, of jobs that ended between two times."""
        newest = _newest(fingerprint, from_ms, until_ms, user)
        async with self._engine.connect() as connection:
            jobs = (await connection.execute(newest)).all()
            # A node that failed ended its try. The ids are named because PostgreSQL, which thinks
            # failures rare, would else read all nodes there are to find them.
            ends = {job.id: job.ended_ms for job in jobs if job.attempts > 1 or job.failed}
            wanted = select(_nodes.node, _nodes.class_type, _nodes.error, _nodes.job_id).where(
                _nodes.job_id.in_(ends), _nodes.result == "failure"
            )
            rows = (await connection.execute(wanted)).all() if ends else []
        found: dict[tuple[str, str, str], FailingNode] = {}
        for row in sorted(rows, key=lambda row: ends[row.job_id]):
            key = (row.node, row.class_type, row.error or "")
            before = found.get(key)
            found[key] = FailingNode(
                node=row.node,
                class_type=row.class_type,
                error=row.error or "",
                failures=1 + (before.failures if before else 0),
                last_ms=ends[row.job_id],
                job=row.job_id,
            )
        ordered = sorted(found.values(), key=lambda one: (-one.failures, -one.last_ms, one.node))
        return ordered[:_MOST_ROWS]

    async def of_user(
        self, fingerprint: str, from_ms: int, until_ms: int, user: str
    ) -> list[NodeClass]:
        """What classes of nodes took in the user's own jobs, those with most time first."""
        jobs = _newest(fingerprint, from_ms, until_ms, user).subquery()
        ran = case((_nodes.cached, 0), else_=1)
        time = func.sum(_nodes.seconds)
        wanted = (
            select(
                _nodes.class_type,
                func.sum(ran).label("runs"),
                func.sum(1 - ran).label("cached"),
                func.sum(case((_nodes.result == "failure", 1), else_=0)).label("failures"),
                func.count(_nodes.fallback).label("fallbacks"),
                time.label("seconds"),
                func.max(_nodes.seconds).label("longest"),
                func.max(_nodes.peak_bytes).label("peak_bytes"),
            )
            .join_from(
                jobs,
                history_schema.node_runs,
                and_(_nodes.job_id == jobs.c.id, _nodes.attempt == jobs.c.attempts),
            )
            .group_by(_nodes.class_type)
            .order_by(time.desc(), _nodes.class_type)
        )
        async with self._engine.connect() as connection:
            return [_class(row) for row in (await connection.execute(wanted)).all()]


def _newest(
    fingerprint: str, from_ms: int, until_ms: int, user: str | None
) -> Select[str, int, int, bool]:
    failed = (_jobs.state == "FAILED").label("failed")
    wanted = select(_jobs.id, _jobs.attempts, _jobs.ended_ms, failed).where(
        _jobs.fingerprint == fingerprint, _jobs.ended_ms >= from_ms, _jobs.ended_ms < until_ms
    )
    if user is not None:
        wanted = wanted.where(_jobs.user_name == user)
    return wanted.order_by(_jobs.ended_ms.desc()).limit(MOST_JOBS)


def _class(row: Any) -> NodeClass:
    runs = int(row.runs)
    return NodeClass(
        class_type=row.class_type,
        runs=runs,
        cached=int(row.cached),
        failures=int(row.failures),
        fallbacks=int(row.fallbacks),
        seconds=row.seconds / max(1, runs),
        longest=row.longest,
        peak_bytes=row.peak_bytes or 0,
    )
