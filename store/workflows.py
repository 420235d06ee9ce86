"""Workflows by fingerprint: how often, how long, how well foreseen, and where they fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from store import history_schema

_usage = history_schema.usage.c
_hours = history_schema.node_hours.c
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """One kind of workflow within a span."""

    fingerprint: str
    #: largest model; where several: the alphabetically last
    model: str
    jobs: int
    failed: int
    users: int
    #: means over its jobs
    gpu_seconds: float
    wait_seconds: float
    last_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeClass:
    """What nodes of one class took within a span."""

    class_type: str
    runs: int
    cached: int
    failures: int
    fallbacks: int
    #: mean
    seconds: float
    longest: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Day:
    """A workflow's day: jobs, failures, GPU seconds."""

    at_ms: int
    jobs: int
    failed: int
    gpu_seconds: float


class SqlWorkflows:
    """Reads what the recorder has of workflows."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def all(
        self, from_ms: int, until_ms: int, *, user: str | None = None, most: int = 200
    ) -> list[Workflow]:
        """Workflows that ended or ran between two times, those with most GPU time first."""
        time = func.sum(_usage.gpu_us)
        wanted = (
            select(
                _usage.fingerprint,
                func.max(_usage.model).label("model"),
                func.sum(_usage.jobs).label("jobs"),
                func.sum(_usage.failed).label("failed"),
                func.count(_usage.user_name.distinct()).label("users"),
                time.label("gpu_us"),
                func.sum(_usage.wait_ms).label("wait_ms"),
                func.max(_usage.hour_ms).label("last_ms"),
            )
            .where(_usage.hour_ms >= from_ms, _usage.hour_ms < until_ms, _usage.fingerprint != "")
            .group_by(_usage.fingerprint)
            .order_by(time.desc(), _usage.fingerprint)
            .limit(most)
        )
        if user is not None:
            wanted = wanted.where(_usage.user_name == user)
        async with self._engine.connect() as connection:
            return [_workflow(row) for row in (await connection.execute(wanted)).all()]

    async def days(
        self,
        fingerprint: str,
        from_ms: int,
        until_ms: int,
        *,
        zone_ms: int = 0,
        user: str | None = None,
    ) -> list[Day]:
        """The workflow's trend by day. ``zone_ms``: how much local time is ahead of UTC."""
        at = (_usage.hour_ms - (_usage.hour_ms + zone_ms) % _DAY_MS).label("at_ms")
        wanted = (
            select(at, func.sum(_usage.jobs), func.sum(_usage.failed), func.sum(_usage.gpu_us))
            .where(
                _usage.hour_ms >= from_ms,
                _usage.hour_ms < until_ms,
                _usage.fingerprint == fingerprint,
            )
            .group_by(at.name)
            .order_by(at.name)
        )
        if user is not None:
            wanted = wanted.where(_usage.user_name == user)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        return [Day(int(day), int(jobs), int(bad), int(us) / 1e6) for day, jobs, bad, us in rows]

    async def nodes(
        self, from_ms: int, until_ms: int, *, fingerprint: str | None = None
    ) -> list[NodeClass]:
        """Classes of nodes, of one workflow or all, those with most time first."""
        time = func.sum(_hours.seconds)
        wanted = (
            select(
                _hours.class_type,
                *(func.sum(_hours[name]) for name in ("runs", "cached", "failures", "fallbacks")),
                time,
                func.max(_hours.longest),
                func.max(_hours.peak_bytes),
            )
            .where(
                _hours.fingerprint == (fingerprint or ""),
                _hours.hour_ms >= from_ms,
                _hours.hour_ms < until_ms,
            )
            .group_by(_hours.class_type)
            .order_by(time.desc())
        )
        async with self._engine.connect() as connection:
            return [_node_class(row) for row in (await connection.execute(wanted)).all()]


def _workflow(row: Any) -> Workflow:
    jobs = int(row.jobs)
    return Workflow(
        fingerprint=row.fingerprint,
        model=row.model,
        jobs=jobs,
        failed=int(row.failed),
        users=row.users,
        gpu_seconds=int(row.gpu_us) / 1e6 / max(1, jobs),
        wait_seconds=int(row.wait_ms) / 1000 / max(1, jobs),
        last_ms=row.last_ms,
    )


def _node_class(row: Any) -> NodeClass:
    class_type, runs, cached, failures, fallbacks, seconds, longest, peak = row
    return NodeClass(
        class_type=class_type,
        runs=int(runs),
        cached=int(cached),
        failures=int(failures),
        fallbacks=int(fallbacks),
        seconds=seconds / max(1, int(runs)),
        longest=longest,
        peak_bytes=peak,
    )
