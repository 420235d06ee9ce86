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
