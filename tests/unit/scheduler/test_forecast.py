"""When waiting jobs should start, in scenes whose answer can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.forecast import forecast
from scheduler.future import RELEASE_MS
from scheduler.plan_config import Limits, Preemption
from scheduler.states import Lane, Snapshot, WorkerState
from tests.pools import config, gpu, job, running, snapshot, worker

NOW = 1_000_000


def waits(pool: Snapshot, **rules: object) -> dict[str, tuple[float, float]]:
    """(p50, p90) seconds from now."""
    found = forecast(pool, config(**rules))
    return {
        name: ((one.p50_ms - NOW) / 1000, (one.p90_ms - NOW) / 1000) for name, one in found.items()
    }


def warm(name: str = "w0", **changes: object):
    return worker(name, models=("checkpoints/a",), used=4, **changes)


def test_jobs_of_one_user_start_one_after_the_other():
    jobs = [job(f"j{n}", need_seconds=10.0, late_seconds=10.0) for n in range(3)]
    pool = snapshot([gpu(used=4)], [warm()], jobs)
    assert waits(pool) == {"j0": (0, 0), "j1": (10, 10), "j2": (20, 20)}


def test_the_next_job_waits_for_the_running_one_expected_and_late():
    jobs = [job("next", need_seconds=10.0, late_seconds=10.0)]
    busy = replace(running("x", seconds=30.0, began=NOW - 10_000), late_seconds=50.0)
    pool = snapshot([gpu(used=4)], [warm(job="x", reserved=4)], jobs, active=[busy])
    assert waits(pool) == {"next": (20, 40)}


def test_far_back_in_the_queue_not_everything_is_late():
    jobs = [job(f"j{n}", need_seconds=10.0, late_seconds=20.0) for n in range(9)]
    found = waits(snapshot([gpu(used=4)], [warm()], jobs))
    expected, late = found["j8"]
    assert expected == 80
    assert late == pytest.approx(80 + 80 / 3, abs=0.01)  # √9 rounds


def test_loading_models_takes_its_time_once():
    jobs = [job(f"j{n}", need_seconds=10.0, load_seconds=5.0) for n in range(3)]
    found = waits(snapshot([gpu()], [worker()], jobs))
    assert [one for one, _ in found.values()] == [0, 15, 25]


def test_users_take_turns_by_their_counters():
    jobs = [job(f"{user}{n}", user, need_seconds=10.0) for user in ("ann", "bob") for n in range(2)]
    found = waits(snapshot([gpu(used=4)], [warm()], jobs, virtual={"ann": 1, "bob": 0}))
    assert [found[name][0] for name in ("bob0", "ann0", "bob1", "ann1")] == [0, 10, 20, 30]


def test_whoever_has_had_much_starts_last():
    jobs = [job("ann0", "ann", need_seconds=10.0)]
    jobs += [job(f"bob{n}", "bob", need_seconds=10.0) for n in range(3)]
    found = waits(snapshot([gpu(used=4)], [warm()], jobs, virtual={"ann": 90_000_000, "bob": 0}))
    assert found["ann0"][0] == 30


def test_a_job_that_has_waited_too_long_overtakes_all_counters():
    jobs = [job("old", "ann", need_seconds=10.0, submitted_ms=NOW - 15_000)]
    jobs += [job(f"bob{n}", "bob", need_seconds=10.0) for n in range(5)]
    pool = snapshot([gpu(used=4)], [warm()], jobs, virtual={"ann": 900_000_000, "bob": 0})
    assert waits(pool, aging_ms=30_000)["old"][0] == 20


def test_two_workers_serve_twice_as_fast():
    jobs = [job(f"j{n}", need_seconds=10.0) for n in range(4)]
    pool = snapshot([gpu(used=8)], [warm("w0"), warm("w1")], jobs)
    assert [one for one, _ in waits(pool).values()] == [0, 0, 10, 10]


def test_two_workers_serve_no_faster_where_memory_is_for_one():
    jobs = [job(f"j{n}", need=14, need_seconds=10.0, models=()) for n in range(3)]
    pool = snapshot([gpu(used=4)], [worker("w0", used=2), worker("w1", used=2)], jobs)
    found = [one for one, _ in waits(pool).values()]
    assert found[0] == 0
    # what the first leaves behind is released for the second
    assert found[1] >= 10
    assert found[2] >= 20


def test_idle_residency_in_the_way_costs_a_release():
    workers = [worker("w0"), worker("w1", used=14, models=("checkpoints/b",))]
    jobs = [job("j", need=20, need_seconds=10.0)]
    found = waits(snapshot([gpu(used=14)], workers, jobs))
    assert found["j"][0] == RELEASE_MS / 1000


def test_a_release_under_way_is_waited_for():
    workers = [worker("w0", used=20, models=("checkpoints/b",), state=WorkerState.RELEASING)]
    found = waits(snapshot([gpu(used=20)], workers, [job("j", need=20)]))
    assert found["j"][0] == RELEASE_MS / 1000


def test_a_job_at_a_cap_waits_for_the_users_own():
    busy = running("x", user="ann", seconds=30.0)
    workers = [warm("w0", job="x", reserved=4), warm("w1")]
    pool = snapshot([gpu(used=8)], workers, [job("j")], running={"ann": 1}, active=[busy])
    assert waits(pool, users={"ann": Limits(max_running=1)})["j"][0] == 30


def test_batch_waits_for_interactive():
    jobs = [job("slow", "ann", lane=Lane.BATCH), job("quick", "bob", need_seconds=7.0)]
    found = waits(snapshot([gpu(used=4)], [warm()], jobs, virtual={"ann": 0, "bob": 90}))
    assert (found["quick"][0], found["slow"][0]) == (0, 7)


def test_what_cannot_start_has_no_forecast():
    assert waits(snapshot([gpu()], [worker(state=WorkerState.DOWN)], [job("j")])) == {}
    silent = worker(heartbeat_ms=NOW - 60_000)
    assert waits(snapshot([gpu()], [silent], [job("j")])) == {}


def test_a_job_whose_deadline_passes_first_has_no_forecast():
    jobs = [job("first", need_seconds=30.0), job("late", deadline_ms=NOW + 20_000)]
    assert set(waits(snapshot([gpu(used=4)], [warm()], jobs))) == {"first"}


def test_nobody_is_interrupted_in_a_forecast():
    busy = replace(running("x", seconds=100.0, user="bob"), lane=Lane.BATCH)
    pool = snapshot([gpu(used=4)], [warm(job="x", reserved=4)], [job("j")], active=[busy])
    assert waits(pool, preemption=Preemption())["j"][0] == 100


def test_a_forecast_that_is_cut_short_tells_of_the_first_jobs():
    jobs = [job(f"j{n}", need_seconds=10.0) for n in range(50)]
    found = forecast(snapshot([gpu(used=4)], [warm()], jobs), config(), most_plans=20)
    assert list(found) == [f"j{n}" for n in range(10)]


def test_the_snapshot_is_left_as_it_was():
    jobs = [job(f"j{n}", user) for n in range(3) for user in ("ann", "bob")]
    busy = running("x", seconds=3.0)
    pool = snapshot([gpu(used=4)], [warm(job="x", reserved=4)], jobs, active=[busy])
    before = (pool.workers, pool.gpus, pool.backlogs, dict(pool.active), dict(pool.groups))
    forecast(pool, config())
    assert (pool.workers, pool.gpus, pool.backlogs, dict(pool.active), dict(pool.groups)) == before
