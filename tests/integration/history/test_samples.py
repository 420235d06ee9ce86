"""Curves of any span, right up to now, and gaps that are told."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.history.samples import fold_gpus, fold_pool
from store import history_schema as history
from store.folding import STEPS, fold_samples
from store.samples import SqlSamples, find_gaps, step_for
from tests.integration.history.rows import HOUR_MS, fill, sample_row

START_MS = 1_699_999_200_000


@pytest.fixture
def samples(engine: AsyncEngine) -> SqlSamples:
    return SqlSamples(engine, fold_gpus, fold_pool)


def test_the_step_grows_with_the_span() -> None:
    hours = (0.1, 5, 24, 24 * 10, 24 * 90, 24 * 4000)
    assert [step_for(int(h * HOUR_MS)) for h in hours] == [1, 10, 60, 600, 3600, 14_400]


async def test_a_curve_goes_right_up_to_now_whatever_has_been_folded(
    engine: AsyncEngine, samples: SqlSamples
) -> None:
    seconds = [sample_row(START_MS + n * 1000, power_mw=n) for n in range(150)]
    await fill(engine, history.gpu_samples, seconds[:95])
    await fold_samples(engine, history.gpu_samples, STEPS, fold_gpus)
    await fill(engine, history.gpu_samples, seconds[95:])
    for step, points in ((1, 150), (10, 15), (60, 3)):
        found = await samples.gpus(START_MS, START_MS + 150_000, step_s=step)
        assert [row["at_ms"] for row in found.rows] == [
            START_MS + n * step * 1000 for n in range(points)
        ]
        assert sum(row["readings"] for row in found.rows) == 150
        assert found.gaps == {}


async def test_one_gpu_is_read_alone(engine: AsyncEngine, samples: SqlSamples) -> None:
    await fill(engine, history.gpu_samples, [sample_row(START_MS, gpu=g) for g in ("a", "b")])
    found = await samples.gpus(START_MS, START_MS + 1000, gpu="b")
    assert [row["gpu"] for row in found.rows] == ["b"]


async def test_a_time_without_samples_is_a_gap_and_has_no_points(
    engine: AsyncEngine, samples: SqlSamples
) -> None:
    seconds = [*range(10), *range(40, 50)]
    await fill(engine, history.gpu_samples, [sample_row(START_MS + n * 1000) for n in seconds])
    found = await samples.gpus(START_MS, START_MS + 90_000)
    assert len(found.rows) == 20
    assert [
        ((since - START_MS) // 1000, (until - START_MS) // 1000)
        for since, until in found.gaps["gpu-0"]
    ] == [(10, 40), (50, 90)]


def test_a_late_point_is_no_gap() -> None:
    assert find_gaps([("g", 0), ("g", 2000)], 1, 0, 3000) == {}
    assert find_gaps([("g", 0), ("g", 3000)], 1, 0, 4000) == {"g": ((1000, 3000),)}


async def test_a_short_span_of_long_ago_has_the_shortest_step_that_is_still_kept(
    engine: AsyncEngine, samples: SqlSamples
) -> None:
    """Seconds and tens are gone by then; minutes are not."""
    await fill(engine, history.gpu_samples, [sample_row(START_MS + n * 1000) for n in range(7200)])
    await fold_samples(engine, history.gpu_samples, STEPS, fold_gpus)
    short = history.gpu_samples.c.step_s < 60
    old = history.gpu_samples.c.at_ms < START_MS + HOUR_MS
    async with engine.begin() as connection:
        await connection.execute(history.gpu_samples.delete().where(short, old))
    then = await samples.gpus(START_MS, START_MS + 1_200_000, gpu="gpu-0")
    assert (then.step_s, len(then.rows), then.gaps) == (60, 20, {})
    since = START_MS + HOUR_MS + 600_000
    lately = await samples.gpus(since, since + 1_200_000, gpu="gpu-0")
    assert (lately.step_s, len(lately.rows)) == (1, 1200)


async def test_a_young_pool_has_the_step_that_its_span_asks_for(
    engine: AsyncEngine, samples: SqlSamples
) -> None:
    seconds = [sample_row(START_MS + 300_000 + n * 1000) for n in range(4000)]
    await fill(engine, history.gpu_samples, seconds)
    await fold_samples(engine, history.gpu_samples, STEPS, fold_gpus)
    found = await samples.gpus(START_MS - 20 * HOUR_MS, START_MS + 2 * HOUR_MS, gpu="gpu-0")
    assert found.step_s == 60
