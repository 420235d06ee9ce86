"""One job as the probe saw it: its nodes, its memory, its models, and how usual that is."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Row, Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store import history_schema, schema
from store.usual import Usual, quantile

_nodes = history_schema.node_runs.c
_jobs = schema.jobs.c
#: Runs of a workflow that a node is compared with: the newest ones.
COMPARED_RUNS: Final = 200
#: After all times.
_EVER_MS: Final = 2**62
#: Nodes of these runs that are read at most, so that a page of 2,000 nodes opens as quickly; but
#: so many runs in any case.
_COMPARED_NODES: Final = 10_000
_LEAST_COMPARED: Final = 5
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
_BARS: Final = tuple(_nodes[name] for name in _COLUMNS)


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
    #: seconds that half of the compared runs of this node (or of its class, where too few had it)
    #: took, and 95 % of them; None: it never ran before
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


@dataclass(frozen=True, slots=True)
class Ran:
    """Where an attempt ran, and when, ms."""

    worker: str
    begin_ms: int
    end_ms: int


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
    #: where and when it ran; None: it has not
    ran: Ran | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OneNode:
    """A node of an attempt by itself."""

    run: NodeRun
    #: how many runs of it (or of its class) it was compared with
    compared: int
    #: it was compared with the same node of earlier runs, not with all of its class
    alone: bool
    #: rows of ``model_moves`` within it
    moves: tuple[Mapping[str, Any], ...]


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

    async def read(
        self,
        job_id: str,
        attempt: int | None = None,
        *,
        fingerprint: str | None = None,
        now_ms: int | None = None,
        shapes: bool = True,
        compare: bool = True,
        memory: bool = True,
    ) -> Timeline | None:
        """An attempt of a job; None: there is nothing of it.

        Args:
            job_id: of the job.
            attempt: which; None: the last one.
            fingerprint: of a job that has not ended, whose row does not say it yet.
            now_ms: up to when an attempt that has not ended is read.
            shapes: whether nodes' inputs and outputs are read; they are most of the bytes.
            compare: whether nodes are told how usual they are.
            memory: whether the worker's curve and gaps are read.
        """
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
            rows = await _node_rows(connection, job_id, attempt, shapes=shapes)
            usual = Usual()
            if compare:
                usual = await _usual(connection, job_id, fingerprint, len(rows))
            ran = _ran(prompt, tries, attempt, now_ms)
            watched = ran if memory else None
            return Timeline(
                job=job_id,
                attempt=attempt,
                prompt=prompt[0] if prompt else None,
                attempts=tuple(tries),
                nodes=tuple(_node_run(row, usual) for row in rows),
                moves=tuple(await _rows(connection, _moves(job_id, attempt))),
                curve=await _curve(connection, watched),
                gaps=await _gaps(connection, watched),
                compared=usual.compared,
                ran=ran,
            )

    async def node(
        self, job_id: str, attempt: int, node: str, *, fingerprint: str | None = None
    ) -> OneNode | None:
        """One node of an attempt, with what it was given and gave."""
        wanted = select(*_BARS, _nodes.shapes).where(
            _nodes.job_id == job_id, _nodes.attempt == attempt, _nodes.node == node
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(wanted)).first()
            if row is None:
                return None
            count = select(func.count()).where(_nodes.job_id == job_id, _nodes.attempt == attempt)
            nodes = await connection.scalar(count)
            usual = await _usual(connection, job_id, fingerprint, nodes or 1, row.class_type)
            moves = await _rows(connection, _moves(job_id, attempt))
        run = _node_run(row, usual)
        return OneNode(
            run=run,
            compared=len(usual.of(run.class_type, run.node)),
            alone=usual.is_alone(run.class_type, run.node),
            moves=tuple(move for move in moves if move["node"] == node),
        )

    async def past(
        self,
        fingerprint: str,
        class_type: str,
        before_ms: int,
        most: int = COMPARED_RUNS,
        *,
        node: str | None = None,
        user: str | None = None,
    ) -> list[PastRun]:
        """Earlier runs of a workflow's nodes of one class, oldest first, summed up by job.

        Args:
            fingerprint: of the workflow.
            class_type: of the nodes.
            before_ms: jobs that ended before.
            most: how many jobs are looked at, the newest ones.
            node: only the node with this id.
            user: only this user's jobs.
        """
        recent = _recent(fingerprint, before_ms, most, user).subquery()
        wanted = (
            select(recent.c.id, recent.c.ended_ms, func.sum(_nodes.seconds))
            .join_from(recent, history_schema.node_runs, _same_try(recent))
            .where(_nodes.class_type == class_type, ~_nodes.cached)
            .group_by(recent.c.id, recent.c.ended_ms)
            .order_by(recent.c.ended_ms)
        )
        if node is not None:
            wanted = wanted.where(_nodes.node == node)
        async with self._engine.connect() as connection:
            return [PastRun(*row) for row in (await connection.execute(wanted)).all()]


async def _usual(
    connection: AsyncConnection,
    job_id: str,
    fingerprint: str | None,
    nodes: int,
    class_type: str | None = None,
) -> Usual:
    """What the compared runs' nodes took: runs before the job's end, or the newest ones.

    Args:
        connection: to the store.
        job_id: of the run that is compared.
        fingerprint: of a job that has not ended.
        nodes: of this run; of graphs with very many, fewer runs are compared.
        class_type: only nodes of this class; None: all.
    """
    job = (
        await connection.execute(
            select(_jobs.fingerprint, _jobs.ended_ms).where(_jobs.id == job_id)
        )
    ).first()
    before_ms = _EVER_MS if job is None else job.ended_ms
    fingerprint = fingerprint if job is None else job.fingerprint
    if not fingerprint:
        return Usual()
    most = min(COMPARED_RUNS, max(_LEAST_COMPARED, _COMPARED_NODES // max(1, nodes)))
    recent = _recent(fingerprint, before_ms, most).subquery()
    wanted = (
        select(recent.c.id, _nodes.class_type, _nodes.node, _nodes.seconds)
        .join_from(recent, history_schema.node_runs, _same_try(recent))
        .where(~_nodes.cached)
    )
    if class_type is not None:
        wanted = wanted.where(_nodes.class_type == class_type)
    usual = Usual()
    for past_job, class_type, node, seconds in (await connection.execute(wanted)).all():
        usual.add(past_job, class_type, node, seconds)
    return usual


def _recent(
    fingerprint: str, before_ms: int, most: int, user: str | None = None
) -> Select[str, int, int]:
    newest = (
        select(_jobs.id, _jobs.attempts, _jobs.ended_ms)
        .where(
            _jobs.fingerprint == fingerprint,
            _jobs.ended_ms < before_ms,
            _jobs.state == "SUCCEEDED",
        )
        .order_by(_jobs.ended_ms.desc())
        .limit(most)
    )
    return newest if user is None else newest.where(_jobs.user_name == user)


def _same_try(recent: Any) -> Any:
    return and_(_nodes.job_id == recent.c.id, _nodes.attempt == recent.c.attempts)


def _tries(job_id: str) -> Select[*tuple[Any, ...]]:
    tries = schema.attempts
    return select(tries).where(tries.c.job_id == job_id).order_by(tries.c.attempt)


def _moves(job_id: str, attempt: int) -> Select[*tuple[Any, ...]]:
    moves = history_schema.model_moves
    mine = and_(moves.c.job_id == job_id, moves.c.attempt == attempt)
    return select(moves).where(mine).order_by(moves.c.at_ms, moves.c.seq)


async def _rows(connection: AsyncConnection, wanted: Select[Any]) -> list[dict[str, Any]]:
    found: Any = (await connection.execute(wanted)).mappings().all()
    return [dict(row) for row in found]


async def _node_rows(
    connection: AsyncConnection, job_id: str, attempt: int, *, shapes: bool
) -> Sequence[Row[*tuple[Any, ...]]]:
    wanted = (
        select(*_BARS, *([_nodes.shapes] if shapes else []))
        .where(_nodes.job_id == job_id, _nodes.attempt == attempt)
        .order_by(_nodes.started_ms, _nodes.node)
        .limit(_MOST_NODES)
    )
    return (await connection.execute(wanted)).all()


def _node_run(row: Sequence[Any], usual: Usual) -> NodeRun:
    """Of a row of ``_node_rows``: there may be thousands, so nothing is done twice."""
    told: dict[str, Any] = dict(zip(_COLUMNS, row, strict=False))
    unknown = told["cached"] or not usual.compared
    others = [] if unknown else usual.of(told["class_type"], told["node"])
    return NodeRun(
        **told,
        shapes=msgspec.json.decode(row[-1] or "{}") if len(row) > len(_COLUMNS) else {},
        usual_seconds=quantile(others, 0.5),
        late_seconds=quantile(others, 0.95),
        percentile=bisect_right(others, told["seconds"]) / len(others) if others else None,
    )


def _ran(
    prompts: list[dict[str, Any]],
    tries: list[dict[str, Any]],
    attempt: int,
    now_ms: int | None,
) -> Ran | None:
    """By the probe's word, or where there is none (it still runs, or was lost) by the ledger's."""
    if prompts:
        begin = prompts[0]["started_ms"]
        return Ran(prompts[0]["worker"], begin, begin + int(prompts[0]["seconds"] * 1000) + 1)
    for row in tries:
        end = row["ended_ms"] or now_ms
        if row["attempt"] == attempt and row["worker"] and row["claimed_ms"] and end:
            return Ran(row["worker"], row["claimed_ms"], end)
    return None


async def _curve(connection: AsyncConnection, ran: Ran | None) -> tuple[Point, ...]:
    if ran is None:
        return ()
    curves = history_schema.curves
    wanted = (
        select(curves.c.at_ms, curves.c.points)
        .where(
            curves.c.worker == ran.worker,
            curves.c.at_ms >= ran.begin_ms - _PIECE_MS,
            curves.c.at_ms <= ran.end_ms,
        )
        .order_by(curves.c.at_ms)
        .limit(_MOST_PIECES)
    )
    points: dict[int, Point] = {}
    for row in await _rows(connection, wanted):
        for offset, *figures in json.loads(row["points"]):
            at_ms = row["at_ms"] + offset
            # pieces overlap where an agent has told twice
            if ran.begin_ms <= at_ms <= ran.end_ms:
                points[at_ms] = Point(at_ms, *figures)
    return tuple(points[at_ms] for at_ms in sorted(points))


async def _gaps(connection: AsyncConnection, ran: Ran | None) -> tuple[tuple[int, int], ...]:
    if ran is None:
        return ()
    gaps = history_schema.gaps
    wanted = select(gaps.c.until_ms, gaps.c.lost).where(
        gaps.c.subject == f"worker:{ran.worker}",
        gaps.c.until_ms >= ran.begin_ms,
        gaps.c.until_ms <= ran.end_ms + _PIECE_MS,
    )
    return tuple((row["until_ms"], row["lost"]) for row in await _rows(connection, wanted))
