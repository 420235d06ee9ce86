"""Where a job that is not queued would fit, and who would stand before it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.forecast import forecast
from scheduler.plan_config import Limits
from scheduler.states import (
    Backlog,
    GpuState,
    Job,
    MemoryLimit,
    Snapshot,
    Step,
    WorkerState,
)
from scheduler.trial import Fit, places, queued, with_job
from tests.factories import GIB, new_job
from tests.pools import config, gpu, job, running, snapshot, worker

NOW = 1_000_000


def trial(pool: Snapshot, need: float = 4, **changes: Any) -> Job:
    return queued(new_job(need_bytes=int(need * GIB), **changes), pool)


def fit(pool: Snapshot, need: float = 4, rules: Any = None, **changes: Any) -> Fit:
    """On the pool's one GPU (or bare worker)."""
    (place,) = places(trial(pool, need, **changes), pool, rules or config())
    return place.fit


BUSY = [running("x", seconds=30.0)]
#: what a job of ``new_job`` loads
OWN = ("checkpoints/a.safetensors",)


@pytest.mark.parametrize(
    ("pool", "need", "expected"),
    [
        (snapshot([gpu()], [worker()], []), 20, Fit.NOW),
        (snapshot([gpu()], [worker(job="x", reserved=9)], [], active=BUSY), 4, Fit.WHEN_FREE),
        (
            snapshot([gpu(used=20)], [worker("w0"), worker("w1", used=20, models=OWN)], []),
            10,
            Fit.NOW,
        ),
        (snapshot([gpu(foreign=20)], [worker()], []), 10, Fit.WHEN_OTHERS_LEAVE),
        (snapshot([gpu()], [worker()], []), 30, Fit.NOW),  # told its limit, it gets all there is
        (snapshot([gpu()], [worker(job="x", reserved=9)], [], active=BUSY), 30, Fit.ALONE),
        (snapshot([gpu(state=GpuState.SUSPECT)], [worker()], []), 4, Fit.SILENT),
        (snapshot([gpu(heartbeat_ms=0)], [worker()], []), 4, Fit.SILENT),
        (snapshot([gpu()], [worker(state=WorkerState.DOWN)], []), 4, Fit.SILENT),
        (snapshot([gpu()], [worker(state=WorkerState.RELEASING)], []), 4, Fit.WHEN_FREE),
    ],
)
def test_where_a_job_fits(pool: Snapshot, need: float, expected: Fit) -> None:
    assert fit(pool, need) is expected


def test_what_idle_workers_hold_counts_until_it_is_given_back() -> None:
    workers = [worker("w0", used=2), worker("w1", used=18, job="x", reserved=18)]
    pool = snapshot([gpu(used=20)], workers, [], active=[running("x", on="w1")])
    assert fit(pool, 10) is Fit.WHEN_FREE


def test_a_gpu_that_is_too_small_beside_a_larger_one_never_fits() -> None:
    pool = snapshot([gpu("a", 8), gpu("b", 24)], [worker("w0", "a"), worker("w1", "b")], [])
    found = {place.id: place.fit for place in places(trial(pool, 10), pool, config())}
    assert found == {"a": Fit.NEVER, "b": Fit.NOW}


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(MemoryLimit.ENFORCED, Fit.NOW), (MemoryLimit.OBSERVED, Fit.NEVER)],
)
def test_a_smaller_step_of_its_curve_is_enough_where_a_worker_keeps_to_it(
    limit: MemoryLimit, expected: Fit
) -> None:
    workers = [worker("w0", "a", limit=limit), worker("w1", "b")]
    pool = snapshot([gpu("a", 8), gpu("b", 24)], workers, [])
    wanted = trial(pool, 10, curve=(Step(6 * GIB, 12.0),))
    assert places(wanted, pool, config())[0].fit is expected


def test_a_gpu_that_the_user_may_not_use_says_so() -> None:
    pool = snapshot([gpu()], [worker()], [])
    rules = config(users={"ann": Limits(workers=("other*",))})
    assert fit(pool, rules=rules) is Fit.NOT_ALLOWED
    assert fit(pool, rules=rules, user="bob") is Fit.NOW


def test_what_needs_no_gpu_fits_on_any_worker() -> None:
    pool = snapshot([gpu()], [worker("w0"), worker("cpu", on="")], [])
    found = places(trial(pool, 0, needs_gpu=False, models=()), pool, config())
    assert [(place.id, place.fit) for place in found] == [("gpu0", Fit.NOW), ("cpu", Fit.NOW)]


def test_what_needs_a_gpu_does_not_go_to_the_cpu_beside_one() -> None:
    pool = snapshot([gpu()], [worker("w0"), worker("cpu", on="")], [])
    assert [place.id for place in places(trial(pool), pool, config())] == ["gpu0"]


@pytest.mark.parametrize(
    ("bare", "expected"),
    [
        (worker(on=""), Fit.NOW),
        (worker(on="", job="x"), Fit.WHEN_FREE),
        (worker(on="", heartbeat_ms=0), Fit.SILENT),
    ],
)
def test_a_pool_without_gpus_runs_what_it_can(bare: Any, expected: Fit) -> None:
    assert fit(snapshot([], [bare], [], active=BUSY if bare.job else [])) is expected


def start(pool: Snapshot, user: str = "ann", **changes: Any) -> int:
    """Seconds from now until the job would start."""
    wanted = trial(pool, user=user, models=("checkpoints/a",), **changes)
    with_it = with_job(pool, wanted)
    assert with_it is not None
    return (forecast(with_it, config())[wanted.id].p50_ms - NOW) // 1000


def one_worker(jobs: list[Job], **changes: Any) -> Snapshot:
    warm = worker(models=("checkpoints/a",), used=4)
    return snapshot([gpu(used=4)], [warm], jobs, **changes)


def test_it_stands_behind_all_others_of_its_user() -> None:
    pool = one_worker([job(f"j{n}", need_seconds=10.0) for n in range(3)])
    assert start(pool) == 30


def test_one_that_is_sent_to_the_front_stands_before_them() -> None:
    pool = one_worker([job(f"j{n}", need_seconds=10.0) for n in range(3)])
    assert start(pool, front=True) == 0


def test_a_user_who_comes_new_gets_the_next_turn_but_saves_none_up() -> None:
    jobs = [job(f"j{n}", "bob", need_seconds=10.0) for n in range(3)]
    pool = one_worker(jobs, virtual={"bob": 500_000_000}, last_admitted={"bob": 1})
    assert start(pool) == 0  # both have the same counter, and ann was served longer ago
    assert start(pool, user="bob") == 30


def test_a_user_whose_jobs_only_run_keeps_the_counter() -> None:
    pool = one_worker([job(f"b{n}", "bob", need_seconds=10.0) for n in range(3)])
    ann = Backlog(user="ann", group="default", queued=0, running=1, jobs=(), virtual=900_000_000)
    assert start(replace(pool, backlogs=(ann, *pool.backlogs))) == 30


def test_nobody_knows_how_long_it_takes_behind_jobs_that_are_not_seen() -> None:
    pool = one_worker([job("j")])
    (shown,) = pool.backlogs
    hidden = replace(pool, backlogs=(replace(shown, queued=9),))
    assert with_job(hidden, trial(hidden)) is None
