"""One job as the probe saw it: its nodes, its memory, its models, and how usual that is."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store import history_schema, schema

_nodes = history_schema.node_runs.c
_jobs = schema.jobs.c
#: Runs of a workflow that a node is compared with: the newest ones.
COMPARED_RUNS: Final = 200
#: Nodes of one job that are read at most.
_MOST_NODES: Final = 5000
#: Pieces of a memory curve, of about a second each.
_MOST_PIECES: Final = 3600
#: A piece may have begun so long before the prompt.
_PIECE_MS: Final = 5000
_COLUMNS: Final = (
    "node", "display", "class_type", "started_ms", "seconds", "calls", "cached", "result",
    "error", "before_bytes", "after_bytes", "peak_bytes", "out_bytes", "fallback", "capture",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRun:
    """One node of an attempt; ``store.history_schema.node_runs`` has the units."""

    node: str
    display: str
    class_type: str
    started_ms: int
    seconds: float
    calls: int
    cached: bool
    result: str
    error: str | None
    before_bytes: int | None
    after_bytes: int | None
    peak_bytes: int | None
    out_bytes: int | None
    fallback: str | None
    capture: str | None
    #: what it was given and gave: shapes, redacted scalars
    shapes: Mapping[str, Any]
    #: seconds that half of the compared runs of this class took, and 95 % of them; None: it never
    #: ran before
    usual_seconds: float | None
    late_seconds: float | None
    #: share of the compared runs that took no longer, 0…1
    percentile: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """A worker's memory at one moment, bytes; None: not told."""

    at_ms: int
    allocated: int
    reserved: int
    device_free: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """An attempt."""

    job: str
    attempt: int
    #: the row of ``prompt_runs``; None: the prompt's end was not told
    prompt: Mapping[str, Any] | None
    #: rows of ``attempts``: all tries of the job
    attempts: tuple[Mapping[str, Any], ...]
    nodes: tuple[NodeRun, ...]
    #: rows of ``model_moves``
    moves: tuple[Mapping[str, Any], ...]
    curve: tuple[Point, ...]
    #: (until ms, records lost) of the worker while it ran
    gaps: tuple[tuple[int, int], ...]
    #: runs that the nodes were compared with
    compared: int


@dataclass(frozen=True, slots=True)
class PastRun:
    """How long nodes of a class took in one earlier job."""

    job: str
    ended_ms: int
    seconds: float


class SqlTimelines:
    """Reads what the recorder has of single jobs. Whose they are is the caller's to check."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def read(self, job_id: str, attempt: int | None = None) -> Timeline | None:
        """An attempt of a job, the last one unless told otherwise; None: there is nothing of it."""
        async with self._engine.connect() as connection:
            if attempt is None:
                newest = select(func.max(_nodes.attempt)).where(_nodes.job_id == job_id)
                attempt = await connection.scalar(newest)
            tries = await _rows(connection, _tries(job_id))
            if attempt is None:
                attempt = max((row["attempt"] for row in tries), default=None)
            if attempt is None:
                return None
            runs = history_schema.prompt_runs
            prompt = await _rows(
                connection,
                select(runs).where(runs.c.job_id == job_id, runs.c.attempt == attempt),
            )
            usual, compared = await self._usual(connection, job_id)
            return Timeline(
                job=job_id,
                attempt=attempt,
                prompt=prompt[0] if prompt else None,
                attempts=tuple(tries),
                nodes=await _node_runs(connection, job_id, attempt, usual),
                moves=tuple(await _rows(connection, _moves(job_id, attempt))),
                curve=await _curve(connection, prompt),
                gaps=await _gaps(connection, prompt),
                compared=compared,
            )

    async def past(
        self, fingerprint: str, class_type: str, before_ms: int, most: int = COMPARED_RUNS
    ) -> list[PastRun]:
        """Earlier runs of a workflow's nodes of one class, oldest first, summed up by job."""
        recent = _recent(fingerprint, before_ms, most).subquery()
        wanted = (
            select(recent.c.id, recent.c.ended_ms, func.sum(_nodes.seconds))
            .join_from(recent, history_schema.node_runs, _same_try(recent))
            .where(_nodes.class_type == class_type, ~_nodes.cached)
            .group_by(recent.c.id, recent.c.ended_ms)
            .order_by(recent.c.ended_ms)
        )
        async with self._engine.connect() as connection:
            return [PastRun(*row) for row in (await connection.execute(wanted)).all()]

    async def _usual(
        self, connection: AsyncConnection, job_id: str
    ) -> tuple[dict[str, list[float]], int]:
        """Seconds of the compared runs by class, sorted, and how many runs these are."""
        job = (
            await connection.execute(
                select(_jobs.fingerprint, _jobs.ended_ms).where(_jobs.id == job_id)
            )
        ).first()
        if job is None or not job.fingerprint:
            return {}, 0
        recent = _recent(job.fingerprint, job.ended_ms, COMPARED_RUNS).subquery()
        wanted = (
            select(recent.c.id, _nodes.class_type, _nodes.seconds)
            .join_from(recent, history_schema.node_runs, _same_try(recent))
            .where(~_nodes.cached)
        )
        found: dict[str, list[float]] = defaultdict(list)
        jobs = set()
        for past_job, class_type, seconds in (await connection.execute(wanted)).all():
            found[class_type].append(seconds)
            jobs.add(past_job)
        return {name: sorted(seconds) for name, seconds in found.items()}, len(jobs)


def _recent(fingerprint: str, before_ms: int, most: int) -> Select[str, int, int]:
    return (
        select(_jobs.id, _jobs.attempts, _jobs.ended_ms)
        .where(
            _jobs.fingerprint == fingerprint,
            _jobs.ended_ms < before_ms,
            _jobs.state == "SUCCEEDED",
        )
        .order_by(_jobs.ended_ms.desc())
        .limit(most)
    )


def _same_try(recent: Any) -> Any:
    return and_(_nodes.job_id == recent.c.id, _nodes.attempt == recent.c.attempts)


def _tries(job_id: str) -> Select[*tuple[Any, ...]]:
    attempts = schema.attempts
    return select(attempts).where(attempts.c.job_id == job_id).order_by(attempts.c.attempt)


def _moves(job_id: str, attempt: int) -> Select[*tuple[Any, ...]]:
    moves = history_schema.model_moves
    mine = and_(moves.c.job_id == job_id, moves.c.attempt == attempt)
    return select(moves).where(mine).order_by(moves.c.at_ms, moves.c.seq)


async def _rows(
    connection: AsyncConnection, wanted: Select[*tuple[Any, ...]]
) -> list[dict[str, Any]]:
    found: Any = (await connection.execute(wanted)).mappings().all()
    return [dict(row) for row in found]


async def _node_runs(
    connection: AsyncConnection, job_id: str, attempt: int, usual: Mapping[str, list[float]]
) -> tuple[NodeRun, ...]:
    wanted = (
        select(history_schema.node_runs)
        .where(_nodes.job_id == job_id, _nodes.attempt == attempt)
        .order_by(_nodes.started_ms, _nodes.node)
        .limit(_MOST_NODES)
    )
    return tuple(_node_run(row, usual) for row in await _rows(connection, wanted))


def _node_run(row: Mapping[str, Any], usual: Mapping[str, list[float]]) -> NodeRun:
    others = [] if row["cached"] else usual.get(row["class_type"], [])
    return NodeRun(
        **{name: row[name] for name in _COLUMNS},
        shapes=json.loads(row["shapes"] or "{}"),
        usual_seconds=quantile(others, 0.5),
        late_seconds=quantile(others, 0.95),
        percentile=bisect_right(others, row["seconds"]) / len(others) if others else None,
    )


async def _curve(connection: AsyncConnection, prompt: list[dict[str, Any]]) -> tuple[Point, ...]:
    if not prompt:
        return ()
    begin, end = prompt[0]["started_ms"], prompt[0]["started_ms"] + prompt[0]["seconds"] * 1000
    curves = history_schema.curves
    wanted = (
        select(curves.c.at_ms, curves.c.points)
        .where(
            curves.c.worker == prompt[0]["worker"],
            curves.c.at_ms >= begin - _PIECE_MS,
            curves.c.at_ms <= end,
        )
        .order_by(curves.c.at_ms)
        .limit(_MOST_PIECES)
    )
    points: dict[int, Point] = {}
    for row in await _rows(connection, wanted):
        for offset, *figures in json.loads(row["points"]):
            at_ms = row["at_ms"] + offset
            # pieces overlap where an agent has told twice
            if begin <= at_ms <= end:
                points[at_ms] = Point(at_ms, *figures)
    return tuple(points[at_ms] for at_ms in sorted(points))


async def _gaps(
    connection: AsyncConnection, prompt: list[dict[str, Any]]
) -> tuple[tuple[int, int], ...]:
    if not prompt:
        return ()
    gaps = history_schema.gaps
    end = prompt[0]["started_ms"] + prompt[0]["seconds"] * 1000 + _PIECE_MS
    wanted = select(gaps.c.until_ms, gaps.c.lost).where(
        gaps.c.subject == f"worker:{prompt[0]['worker']}",
        gaps.c.until_ms >= prompt[0]["started_ms"],
        gaps.c.until_ms <= end,
    )
    return tuple((row["until_ms"], row["lost"]) for row in await _rows(connection, wanted))


def quantile(ordered: list[float], share: float) -> float | None:
    """The least of these that at least so many of them do not exceed; None of none."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
