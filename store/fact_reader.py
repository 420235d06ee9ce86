"""Reads the facts that advice is found in: the newest jobs of some days, and what belongs to them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Subquery, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store import fact_graph, history_schema, schema
from store.facts import (
    CardFact,
    ClassCount,
    Facts,
    GpuHour,
    JobFact,
    MoveFact,
    NodeFact,
    PromptFact,
    WaitFact,
)

_jobs = schema.jobs.c
_nodes = history_schema.node_runs.c
_prompts = history_schema.prompt_runs.c
_moves = history_schema.model_moves.c
_waits = history_schema.waits.c
_gpus = history_schema.gpu_samples.c
#: Newest jobs; of so many of them the graphs are read, if these are no longer than so many bytes.
MOST_JOBS: Final = 5000
MOST_GRAPHS: Final = 2000
_GRAPH_BYTES: Final = 512 * 1024
_GRAPHS_AT_ONCE: Final = 100
#: Newest rows of other kinds.
_MOST_MOVES: Final = 20_000
_MOST_ROWS: Final = 100_000
_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000
#: Steps of samples that minutes are made of.
_MINUTE_S: Final = 60
_WAIT_S: Final = 10
#: A card that was not read for so long is gone.
_CARD_MS: Final = 300_000
#: A card on which less than this was computed did nothing.
_IDLE_LOAD: Final = 0.05


class SqlFacts:
    """Reads; takes a second or two of a large store, so never in a page's path."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def read(self, from_ms: int, until_ms: int) -> Facts:
        """All facts of jobs that ended between two times, and of the pool between them."""
        recent = _recent(from_ms, until_ms)
        async with self._engine.connect() as connection:
            idle = await _idle(connection, from_ms, until_ms)
            jobs = await _read_jobs(connection, from_ms, until_ms)
            # a job may be recorded between two questions: what belongs to it waits for the next time
            known = {job.id for job in jobs}
            nodes = await _read_nodes(connection, recent)
            prompts = await _read_prompts(connection, recent)
            return Facts(
                from_ms=from_ms,
                until_ms=until_ms,
                jobs=jobs,
                nodes=tuple(node for node in nodes if node.job in known),
                prompts=tuple(prompt for prompt in prompts if prompt.job in known),
                moves=await _read_moves(connection, from_ms, until_ms),
                waits=await _read_waits(connection, from_ms, until_ms),
                hours=await _read_hours(connection, from_ms, until_ms),
                idle=idle,
                classes=await _read_classes(connection, recent),
                cards=await _read_cards(connection, until_ms),
            )


async def _all(connection: AsyncConnection, wanted: Any) -> Sequence[Mapping[str, Any]]:
    found: Any = (await connection.execute(wanted)).mappings().all()
    return list(found)


def _recent(from_ms: int, until_ms: int) -> Subquery:
    return (
        select(_jobs.id, _jobs.attempts)
        .where(_jobs.ended_ms >= from_ms, _jobs.ended_ms < until_ms)
        .order_by(_jobs.ended_ms.desc(), _jobs.id)
        .limit(MOST_JOBS)
        .subquery()
    )


async def _read_jobs(
    connection: AsyncConnection, from_ms: int, until_ms: int
) -> tuple[JobFact, ...]:
    # what lies behind the bodies takes long to read: see _graphs
    names = (
        "id", "user_name", "fingerprint", "state", "reason", "gpu", "worker", "needs_gpu",
        "reserved_bytes", "peak_bytes", "run_seconds", "submitted_ms", "admitted_ms",
        "started_ms", "ended_ms",
    )  # fmt: skip
    wanted = (
        select(*(_jobs[name] for name in names))
        .where(_jobs.ended_ms >= from_ms, _jobs.ended_ms < until_ms)
        .order_by(_jobs.ended_ms.desc(), _jobs.id)
        .limit(MOST_JOBS)
    )
    rows = list(reversed(await _all(connection, wanted)))
    bodies = await _graphs(connection, [row["id"] for row in rows[-MOST_GRAPHS:]])
    facts = []
    for row in rows:
        model, digest, sampling = bodies.get(row["id"], ("", "", {}))
        plain = {name: row[name] for name in names if name not in ("user_name", "reason")}
        facts.append(
            JobFact(
                **plain, user=row["user_name"], reason=row["reason"] or "", model=model,
                digest=digest, sampling=sampling,
            )
        )  # fmt: skip
    return tuple(facts)


async def _graphs(
    connection: AsyncConnection, ids: Sequence[str]
) -> dict[str, tuple[str, str, Mapping[str, Any]]]:
    """Model, hash of the graph, and samplers."""
    found: dict[str, tuple[str, str, Mapping[str, Any]]] = {}
    short = case((func.length(_jobs.prompt) <= _GRAPH_BYTES, _jobs.prompt))
    for place in range(0, len(ids), _GRAPHS_AT_ONCE):
        some = ids[place : place + _GRAPHS_AT_ONCE]
        wanted = select(_jobs.id, _jobs.model, short.label("body")).where(_jobs.id.in_(some))
        for row in await _all(connection, wanted):
            found[row["id"]] = (row["model"], *fact_graph.read(row["body"]))
    return found


async def _read_nodes(connection: AsyncConnection, recent: Subquery) -> tuple[NodeFact, ...]:
    telling = or_(
        _nodes.class_type.like("VAE%"),
        _nodes.class_type.like("%Sampler%"),
        _nodes.result == "failure",
    )
    wanted = (
        select(history_schema.node_runs)
        .join_from(recent, history_schema.node_runs, _of_node(recent))
        .where(~_nodes.cached, telling)
        .order_by(_nodes.started_ms, _nodes.job_id, _nodes.node)
        .limit(_MOST_ROWS)
    )
    return tuple(_node(row) for row in await _all(connection, wanted))


def _of_node(recent: Subquery) -> Any:
    return and_(_nodes.job_id == recent.c.id, _nodes.attempt == recent.c.attempts)


def _node(row: Mapping[str, Any]) -> NodeFact:
    batch, width, height = fact_graph.picture(row["class_type"], row["shapes"])
    return NodeFact(
        job=row["job_id"],
        user=row["user_name"],
        node=row["node"],
        class_type=row["class_type"],
        started_ms=row["started_ms"],
        seconds=row["seconds"],
        failed=row["result"] == "failure",
        error=row["error"] or "",
        before_bytes=row["before_bytes"],
        peak_bytes=row["peak_bytes"],
        fallback=row["fallback"] or "",
        batch=batch,
        width=width,
        height=height,
    )


async def _read_prompts(connection: AsyncConnection, recent: Subquery) -> tuple[PromptFact, ...]:
    mine = and_(_prompts.job_id == recent.c.id, _prompts.attempt == recent.c.attempts)
    wanted = (
        select(history_schema.prompt_runs)
        .join_from(recent, history_schema.prompt_runs, mine)
        .order_by(_prompts.started_ms, _prompts.job_id)
    )
    return tuple(
        PromptFact(
            job=row["job_id"],
            user=row["user_name"],
            worker=row["worker"],
            gpu=row["gpu"],
            started_ms=row["started_ms"],
            seconds=row["seconds"],
            nodes=row["nodes"],
            cached=row["cached"],
            peak_reserved=row["peak_reserved"],
            allocated_after=row["allocated_after"],
            retained_bytes=_retained(row["retained"]),
            limit_bytes=row["limit_bytes"],
        )
        for row in await _all(connection, wanted)
    )


def _retained(text: str | None) -> int:
    return sum(json.loads(text).values()) if text else 0


async def _read_moves(
    connection: AsyncConnection, from_ms: int, until_ms: int
) -> tuple[MoveFact, ...]:
    wanted = (
        select(history_schema.model_moves)
        .where(_moves.at_ms >= from_ms, _moves.at_ms < until_ms)
        .order_by(_moves.at_ms.desc(), _moves.seq.desc())
        .limit(_MOST_MOVES)
    )
    return tuple(
        MoveFact(
            worker=row["worker"],
            boot=row["boot"],
            at_ms=row["at_ms"],
            job=row["job_id"],
            node=row["node"],
            load=row["what"] == "load",
            model=row["model"],
            bytes=row["bytes"],
            loaded_bytes=row["loaded_bytes"],
            seconds=row["seconds"],
        )
        for row in reversed(await _all(connection, wanted))
    )


async def _read_waits(
    connection: AsyncConnection, from_ms: int, until_ms: int
) -> tuple[WaitFact, ...]:
    minute = (_waits.at_ms - _waits.at_ms % _MINUTE_MS).label("minute_ms")
    names = (_waits.user_name, _waits.reason, _waits.blocker)
    wanted = (
        select(minute, *names, func.sum(_waits.job_ms).label("job_ms"))
        .where(_waits.step_s == _WAIT_S, _waits.at_ms >= from_ms, _waits.at_ms < until_ms)
        .group_by(minute.name, *names)
        .order_by(minute.name)
        .limit(_MOST_ROWS)
    )
    return tuple(
        WaitFact(
            minute_ms=int(row["minute_ms"]),
            user=row["user_name"],
            reason=row["reason"],
            blocker=row["blocker"],
            job_ms=int(row["job_ms"]),
        )
        for row in await _all(connection, wanted)
    )


async def _read_cards(connection: AsyncConnection, until_ms: int) -> tuple[CardFact, ...]:
    """The newest second of each; a card may have been changed since the last whole minute."""
    wanted = (
        select(_gpus.gpu, _gpus.total_bytes, _gpus.foreign_bytes)
        .where(_gpus.step_s == 1, _gpus.at_ms >= until_ms - _CARD_MS, _gpus.at_ms < until_ms)
        .order_by(_gpus.at_ms)
    )
    newest = {row["gpu"]: CardFact(**row) for row in await _all(connection, wanted)}
    return tuple(newest[gpu] for gpu in sorted(newest))


def _did_nothing() -> Any:
    load = or_(_gpus.utilisation.is_(None), _gpus.utilisation < _IDLE_LOAD)
    return and_(_gpus.reserved_bytes == 0, load)


async def _read_hours(
    connection: AsyncConnection, from_ms: int, until_ms: int
) -> tuple[GpuHour, ...]:
    hour = (_gpus.at_ms - _gpus.at_ms % _HOUR_MS).label("hour_ms")
    wanted = (
        select(
            _gpus.gpu,
            hour,
            func.count().label("known"),
            func.sum(case((_did_nothing(), 1), else_=0)).label("idle"),
            func.max(_gpus.total_bytes).label("total_bytes"),
            func.avg(_gpus.foreign_bytes).label("foreign_bytes"),
            func.max(_gpus.temperature).label("temperature"),
        )
        .where(_gpus.step_s == _MINUTE_S, _gpus.at_ms >= from_ms, _gpus.at_ms < until_ms)
        .group_by(_gpus.gpu, hour.name)
        .order_by(hour.name, _gpus.gpu)
    )
    whole = ("hour_ms", "known", "idle", "total_bytes", "foreign_bytes")
    return tuple(
        GpuHour(
            gpu=row["gpu"], temperature=row["temperature"],
            **{name: int(row[name]) for name in whole},
        )
        for row in await _all(connection, wanted)
    )  # fmt: skip


async def _idle(
    connection: AsyncConnection, from_ms: int, until_ms: int
) -> Mapping[int, frozenset[str]]:
    wanted = (
        select(_gpus.at_ms, _gpus.gpu)
        .where(
            _gpus.step_s == _MINUTE_S,
            _gpus.at_ms >= from_ms,
            _gpus.at_ms < until_ms,
            _did_nothing(),
        )
        .order_by(_gpus.at_ms.desc())
        .limit(_MOST_ROWS)
    )
    found: dict[int, set[str]] = defaultdict(set)
    for row in await _all(connection, wanted):
        found[row["at_ms"]].add(row["gpu"])
    return {at_ms: frozenset(gpus) for at_ms, gpus in found.items()}


async def _read_classes(connection: AsyncConnection, recent: Subquery) -> tuple[ClassCount, ...]:
    failures = func.sum(case((_nodes.result == "failure", 1), else_=0))
    wanted = (
        select(_nodes.class_type, func.count().label("runs"), failures.label("failures"))
        .join_from(recent, history_schema.node_runs, _of_node(recent))
        .where(~_nodes.cached)
        .group_by(_nodes.class_type)
        .order_by(_nodes.class_type)
    )
    return tuple(
        ClassCount(
            class_type=row["class_type"], runs=int(row["runs"]), failures=int(row["failures"])
        )
        for row in await _all(connection, wanted)
    )
