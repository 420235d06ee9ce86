"""Curves as the dashboard asks for them."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.api.samples import Samples
from dashboard.history.samples import fold_gpus, fold_pool
from store import history_schema
from store.samples import SqlSamples
from tests.integration.dashboard.api.conftest import Ask, Serve, who
from tests.integration.dashboard.api.conftest import serve as serve
from tests.integration.history.rows import fill, sample_row

START_MS = 1_699_999_200_000
SPAN = f"from={START_MS}&until={START_MS + 60_000}"


@pytest.fixture
async def ask(engine: AsyncEngine, serve: Serve) -> Ask:
    held = '[["w-0","ann",5],["w-1","bob",7],["w-2","",2]]'
    rows = [sample_row(START_MS + 1000 * n, holders=held) for n in (0, 1, 30)]
    await fill(engine, history_schema.gpu_samples, rows)
    return await serve(Samples(SqlSamples(engine, fold_gpus, fold_pool), who).routes())


async def test_a_gpu_has_columns_of_one_length_and_its_gaps(ask: Ask) -> None:
    told = await ask(f"/api/v1/samples/gpus?{SPAN}")
    curve = told["gpus"]["gpu-0"]
    assert told["step_s"] == 1
    assert curve["at_ms"] == [START_MS, START_MS + 1000, START_MS + 30_000]
    assert {len(column) for column in curve["columns"].values()} == {3}
    assert curve["columns"]["temperature"] == [60, 60, 60]
    assert curve["gaps"] == [
        [START_MS + 2000, START_MS + 30_000],
        [START_MS + 31_000, START_MS + 60_000],
    ]


async def test_an_artist_is_not_told_for_whom_a_worker_holds_memory(ask: Ask) -> None:
    path = f"/api/v1/samples/gpus?{SPAN}&gpu=gpu-0"
    for role, seen in (("artist", "others"), ("viewer", "others"), ("admin", "bob")):
        curve = (await ask(path, "ann", role))["gpus"]["gpu-0"]
        held = {(one["worker"], one["user"]): one["bytes"] for one in curve["holders"]}
        assert held == {("w-0", "ann"): [5] * 3, ("w-1", seen): [7] * 3, ("w-2", ""): [2] * 3}


async def test_another_gpu_and_an_empty_pool_are_empty(ask: Ask) -> None:
    assert (await ask(f"/api/v1/samples/gpus?{SPAN}&gpu=nope"))["gpus"] == {}
    assert (await ask(f"/api/v1/samples/pool?{SPAN}"))["curve"]["at_ms"] == []


async def test_a_wrong_span_is_refused_with_what_to_do(ask: Ask) -> None:
    told = await ask("/api/v1/samples/pool?from=x", status=400)
    assert "`from`" in told["error"]
