"""How long jobs waited, told apart, and the quantiles made of it."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from store import history_schema as history
from store import schema
from store.records import By
from store.waits import SqlWaits, quantile_ms
from tests.integration.history.rows import HOUR_MS, fill, job_row

START_MS = 1_700_000_000_000 - 1_700_000_000_000 % HOUR_MS


@pytest.fixture
async def waited(engine: AsyncEngine) -> AsyncEngine:
    """Ann's jobs waited 0.25 s, 12.7 s and an hour later 3 s; bob's never ran."""
    rows = []
    for number, (hours, wait) in enumerate(((1, 250), (1, 12_700), (2, 3_000))):
        ended = START_MS + hours * HOUR_MS
        rows.append(job_row(f"j{number}", ended, submitted_ms=ended - 10_000 - wait))
    rows.append(job_row("b", START_MS + HOUR_MS, user_name="bob", submitted_ms=0, admitted_ms=0))
    await fill(engine, schema.jobs, rows)
    return engine


async def test_waits_are_counted_by_user(waited: AsyncEngine) -> None:
    waits = SqlWaits(waited)
    found = await waits.counts(START_MS, START_MS + 3 * HOUR_MS)
    assert found == {"ann": Counter({200: 1, 12_000: 1, 3_000: 1})}
    apart = await waits.counts(START_MS, START_MS + 2 * HOUR_MS, By.GROUP)
    assert apart == {"film": Counter({200: 1, 12_000: 1})}
    assert await waits.counts(START_MS, START_MS + 3 * HOUR_MS, user="bob") == {}


async def test_models_are_those_of_the_fingerprints(waited: AsyncEngine) -> None:
    key = {"gpu": "g", "group_name": "", "user_name": "ann", "fingerprint": "fp-1"}
    sums = ("gpu_us", "byte_ms", "cost_us", "energy_mj", "jobs", "failed", "wait_ms")
    row = {"hour_ms": START_MS, **key, "model": "sdxl", **dict.fromkeys(sums, 0)}
    await fill(waited, history.usage, [row])
    found = await SqlWaits(waited).counts(START_MS, START_MS + 3 * HOUR_MS, By.MODEL)
    assert list(found) == ["sdxl"]


def test_a_quantile_is_the_least_wait_that_so_many_do_not_exceed() -> None:
    waits = Counter({0: 90, 100: 5, 5_000: 5})
    assert quantile_ms(waits, 0.5) == 0
    assert quantile_ms(waits, 0.9) == 0
    assert quantile_ms(waits, 0.95) == 100
    assert quantile_ms(waits, 0.951) == 5_000
    assert quantile_ms(Counter(), 0.5) is None
