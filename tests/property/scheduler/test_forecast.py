"""Whatever the pool looks like, its future can be told and hangs together."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.decisions import Admit
from scheduler.forecast import forecast
from scheduler.future import HORIZON_MS, Future, Pace
from scheduler.plan_config import Limits
from scheduler.policy import plan
from scheduler.reservation import steps_of
from scheduler.states import Snapshot
from tests.pools import config
from tests.property.scheduler.test_plan import pools

CONFIGS = (
    config(),
    config(strict_order=True, aging_ms=5_000, max_skips=1),
    config(users={"ann": Limits(max_running=1)}, hold_until_ms=10**15),
)
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(pool=pools(), which=st.integers(0, 2))
@relaxed
def test_a_forecast_is_in_order_and_within_the_horizon(pool: Snapshot, which: int) -> None:
    waiting = {job.id for backlog in pool.backlogs for job in backlog.jobs}
    found = forecast(pool, CONFIGS[which])
    assert set(found) <= waiting
    for one in found.values():
        assert pool.now_ms <= one.p50_ms <= one.p90_ms <= pool.now_ms + HORIZON_MS
        assert one.worker in {worker.id for worker in pool.workers}


@given(pool=pools(), which=st.integers(0, 2))
@relaxed
def test_what_the_plan_starts_now_the_forecast_starts_now(pool: Snapshot, which: int) -> None:
    made = plan(pool, pool.now_ms, CONFIGS[which])
    started = {one.job.id: one.worker.id for one in made.decisions if isinstance(one, Admit)}
    found = forecast(pool, CONFIGS[which])
    now = {id_: one.worker for id_, one in found.items() if one.p90_ms == pool.now_ms}
    assert now == started


@pytest.mark.parametrize("pace", list(Pace))
@given(pool=pools())
@relaxed
def test_no_worker_runs_two_jobs_at_once_in_a_future(pace: Pace, pool: Snapshot) -> None:
    future = Future(pool, config(), pace)
    jobs = {job.id: job for backlog in pool.backlogs for job in backlog.jobs}
    while future.step():
        pass
    free = {worker.id: pool.now_ms for worker in pool.workers}
    for name, at_ms in future.starts.items():
        worker = future.places[name]
        assert at_ms >= free[worker]
        shortest = min(step.seconds for step in steps_of(jobs[name]))
        free[worker] = at_ms + int(shortest * 1000)
