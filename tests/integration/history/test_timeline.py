"""A job's nodes, how usual they were, and the memory under them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from store import history_schema as history
from store import schema
from store.timeline import PastRun, Point, SqlTimelines
from store.usual import quantile
from tests.integration.history.rows import HOUR_MS, attempt_row, fill, job_row, node_row

NOW_MS = 400_000 * HOUR_MS


def prompt_row(job_id: str, started_ms: int, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys((column.name for column in history.prompt_runs.columns), 0)
    row |= {"job_id": job_id, "attempt": 1, "user_name": "ann", "worker": "host-0", "gpu": "g"}
    row |= {"started_ms": started_ms, "seconds": 10.0, "result": "success", "overlap": False}
    return row | {"retained": None} | changes


@pytest.fixture
async def timelines(engine: AsyncEngine) -> SqlTimelines:
    """Twenty runs of a workflow whose sampler took 1, 2, … 20 s, and one of another."""
    for number in range(1, 21):
        ended = NOW_MS - (21 - number) * HOUR_MS
        job = f"j{number}"
        await fill(engine, schema.jobs, [job_row(job, ended)])
        await fill(engine, schema.attempts, [attempt_row(job, ended)])
        nodes = [
            node_row(job, ended - 9000, seconds=float(number)),
            node_row(job, ended - 9500, node="9", class_type="VAEDecode", cached=True, seconds=0),
        ]
        await fill(engine, history.node_runs, nodes)
    other = job_row("other", NOW_MS - 30 * HOUR_MS, fingerprint="fp-2")
    await fill(engine, schema.jobs, [other])
    await fill(engine, history.node_runs, [node_row("other", NOW_MS, seconds=999.0)])
    return SqlTimelines(engine)


async def test_a_node_is_compared_with_earlier_runs_of_its_workflow(
    timelines: SqlTimelines,
) -> None:
    found = await timelines.read("j11")
    assert found is not None
    decode, sampler = found.nodes
    assert found.compared == 10
    assert (sampler.usual_seconds, sampler.late_seconds, sampler.percentile) == (5.0, 10.0, 1.0)
    assert (decode.cached, decode.usual_seconds, decode.percentile) == (True, None, None)
    first = await timelines.read("j1")
    assert first is not None
    assert first.nodes[1].percentile is None


async def test_a_classs_history_is_oldest_first(timelines: SqlTimelines) -> None:
    past = await timelines.past("fp-1", "KSampler", NOW_MS, most=3)
    assert [(run.job, run.seconds) for run in past] == [("j18", 18.0), ("j19", 19.0), ("j20", 20.0)]
    assert isinstance(past[0], PastRun)
    assert await timelines.past("fp-1", "VAEDecode", NOW_MS) == []


async def test_the_curve_is_that_of_the_prompt_and_has_each_moment_once(
    engine: AsyncEngine, timelines: SqlTimelines
) -> None:
    began = NOW_MS - HOUR_MS - 10_000
    await fill(engine, history.prompt_runs, [prompt_row("j20", began)])
    points = [[0, 1, 2, 3], [500, 4, 5, None]]
    pieces = [(began - 400, points), (began + 100, points), (began + 60_000, points)]
    await fill(
        engine,
        history.curves,
        [{"worker": "host-0", "at_ms": at, "points": json.dumps(some)} for at, some in pieces],
    )
    gap = {"subject": "worker:host-0", "until_ms": began + 5, "lost": 7, "why": "overflow"}
    await fill(engine, history.gaps, [gap, {**gap, "until_ms": began - 60_000}])
    found = await timelines.read("j20")
    assert found is not None
    assert found.curve == (Point(began + 100, 1, 2, 3), Point(began + 600, 4, 5, None))
    assert found.gaps == ((began + 5, 7),)
    assert found.prompt is not None
    assert found.prompt["seconds"] == 10.0


async def test_each_attempt_has_a_timeline_and_the_last_is_shown(
    engine: AsyncEngine, timelines: SqlTimelines
) -> None:
    await fill(engine, history.node_runs, [node_row("j5", NOW_MS, attempt=2, class_type="New")])
    last, first = await timelines.read("j5"), await timelines.read("j5", 1)
    assert last is not None
    assert first is not None
    assert [node.class_type for node in last.nodes] == ["New"]
    assert len(first.nodes) == 2


async def test_a_job_without_a_probe_still_has_its_attempts(
    engine: AsyncEngine, timelines: SqlTimelines
) -> None:
    await fill(engine, schema.attempts, [attempt_row("bare", NOW_MS)])
    found = await timelines.read("bare")
    assert found is not None
    assert (found.nodes, found.prompt, len(found.attempts)) == ((), None, 1)
    assert await timelines.read("nobody's") is None


def test_quantiles_are_among_the_values() -> None:
    assert quantile([], 0.5) is None
    assert [quantile([1.0, 2.0, 3.0, 4.0], share) for share in (0.0, 0.5, 0.95, 1.0)] == [
        1.0, 2.0, 4.0, 4.0,
    ]  # fmt: skip
