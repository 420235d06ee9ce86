"""What loading costs, and when waiting for a warm worker beats it."""

from __future__ import annotations

import pytest

from scheduler.decisions import Admit
from scheduler.plan_config import Demand
from scheduler.policy import plan
from scheduler.scene import Scene
from scheduler.states import WaitReason
from scheduler.warmth import load_seconds, main_model
from tests.pools import GIB, config, gpu, job, running, snapshot, worker

A, B, LORA = "checkpoints/a", "checkpoints/b", "loras/l"


def test_the_largest_model_decides_where_a_job_is_warm() -> None:
    assert main_model(job("j", models=(LORA, A), model_bytes=(1, 9))) == A
    assert main_model(job("j", models=())) == ""


def test_a_part_of_the_models_takes_its_share_of_the_time() -> None:
    one = job("j", models=(A, LORA), model_bytes=(9 * GIB, GIB), load_seconds=10.0)
    assert load_seconds(one, ()) == 10.0
    assert load_seconds(one, (A,)) == pytest.approx(1.0)
    assert load_seconds(one, (A, LORA, B)) == 0.0


def decide(jobs, *, ends_in: float, workers=None, gpus=None, **rules):
    """One worker is busy with model a for so long yet; another one is idle and empty."""
    pool = snapshot(
        gpus or [gpu("g0", used=6), gpu("g1")],
        workers or [worker("w0", on="g0", used=6, job="x", models=(A,)), worker("w1", on="g1")],
        jobs,
        active=[running("x", "w0", gpu="g0", seconds=ends_in)],
    )
    made = plan(pool, pool.now_ms, config(**rules))
    return made, {d.job.id: d.worker.id for d in made.decisions if isinstance(d, Admit)}


def test_a_job_waits_for_the_worker_that_has_its_model_where_that_is_sooner() -> None:
    made, admitted = decide([job("j", load_seconds=20.0)], ends_in=5)
    assert admitted == {}
    assert made.blocked["ann"].reason is WaitReason.WARM_SOON


def test_it_loads_another_copy_where_loading_is_sooner() -> None:
    assert decide([job("j", load_seconds=3.0)], ends_in=5)[1] == {"j": "w1"}


def test_it_loads_another_copy_where_the_queue_for_the_first_is_deep() -> None:
    queue = [job(f"j{n}", load_seconds=20.0, need_seconds=10.0) for n in range(4)]
    assert decide(queue[:2], ends_in=5)[1] == {}
    assert decide(queue, ends_in=5)[1] == {"j0": "w1"}


def test_a_job_whose_turn_is_forced_does_not_wait_for_a_warm_worker() -> None:
    forced = job("j", load_seconds=20.0, skips=64)
    assert decide([forced], ends_in=5)[1] == {"j": "w1"}


def test_what_is_asked_for_most_is_thrown_out_last() -> None:
    workers = [
        worker("popular", on="g0", used=20, models=(A,)),
        worker("rare", on="g1", used=20, models=(B,)),
    ]
    demand = {
        A: Demand(rate=0.1, load_seconds=20, bytes=18 * GIB),
        B: Demand(rate=0.0001, load_seconds=20, bytes=18 * GIB),
    }
    pool = snapshot(
        [gpu("g0", used=20), gpu("g1", used=20)],
        workers,
        [job("j", need=12, models=("checkpoints/c",))],
    )
    made = plan(pool, pool.now_ms, config(demand=demand))
    (admit,) = [d for d in made.decisions if isinstance(d, Admit)]
    assert admit.worker.id == "rare"


def test_the_value_of_a_copy_falls_with_the_number_of_copies() -> None:
    def value(copies: int) -> float:
        workers = [worker(f"w{n}", on=f"g{n}", models=(A,)) for n in range(copies)]
        pool = snapshot([gpu(f"g{n}") for n in range(copies)], workers, [])
        demand = {A: Demand(rate=0.001, load_seconds=20, bytes=GIB)}
        return Scene(pool, pool.now_ms, config(demand=demand)).warmth.value(A)

    assert 0 < value(4) < value(2) < value(1) < 20


def test_nothing_starts_beside_a_load_that_it_would_stretch() -> None:
    loading = running(
        "x",
        "w0",
        seconds=10,
        granted_load_seconds=5.0,
        model_bytes=(6 * GIB,),
        reserved_bytes=10 * GIB,
        load_seconds=5.0,
    )
    busy = worker("w0", used=1.4, reserved=10, job="x", models=(A,))
    idle = worker("w1", used=3, models=(B,))
    warm = job("j", models=(B,))

    def admitted(used: float, told: str = "") -> int:
        now = worker("w0", used=used, reserved=10, job="x", models=(A,), loaded=told)
        pool = snapshot([gpu(used=used + 3)], [now, idle], [warm], active=[loading])
        made = plan(pool, pool.now_ms, config())
        return sum(isinstance(d, Admit) for d in made.decisions)

    assert busy.used_bytes < 2 * GIB
    assert admitted(1.4) == 0
    assert admitted(8.0) == 1
    # its agent has seen the first step, whatever the driver shows
    assert admitted(1.4, told="x") == 1
    assert admitted(1.4, told="before") == 0


def beside(*waiting, ends_in: float = 4.0, **w0):
    """The same with both workers on one GPU: what loads there slows, and is slowed."""
    first = {"on": "g0", "used": 6, "job": "x", "models": (A,), **w0}
    workers = [worker("w0", **first), worker("w1", on="g0")]
    gpus = [gpu("g0", total=48, used=6)]
    return decide(list(waiting), ends_in=ends_in, workers=workers, gpus=gpus)[1]


def short(name: str, seconds: float = 2.0, **changes):
    """Loads 5 s alone, 9 GiB beside another take 14.4 s longer."""
    sizes = {"model_bytes": (9 * GIB,), "load_seconds": 5.0}
    return job(name, need=10, need_seconds=seconds, **{**sizes, **changes})


def test_another_copy_beside_what_runs_is_loaded_only_for_work_that_is_worth_it() -> None:
    """A load of 19.4 s loses 13.6 s; of two copies' work a second one saves 0.58 of its part."""
    assert beside(*(short(f"j{n}") for n in range(23))) == {}
    assert beside(*(short(f"j{n}") for n in range(24))) == {"j0": "w1"}


def test_on_a_gpu_where_nothing_runs_another_copy_is_worth_less_work() -> None:
    queue = [short(f"j{n}") for n in range(5)]
    assert decide(queue, ends_in=4)[1] == {"j0": "w1"}


def test_jobs_that_run_longer_than_they_load_do_not_wait_for_that() -> None:
    assert beside(short("j", 10.0), ends_in=9.0) == {"j": "w1"}


def test_nobody_waits_longer_for_a_warm_worker_than_loading_beside_it_takes() -> None:
    assert beside(short("j"), ends_in=19.0) == {}
    assert beside(short("j"), ends_in=20.0) == {"j": "w1"}


def test_the_first_copy_of_a_model_is_always_worth_its_load() -> None:
    assert beside(short("j"), models=(B,)) == {"j": "w1"}


@pytest.mark.parametrize(("slow_load", "chosen"), [(4.0, "slow"), (7.0, "quick")])
def test_of_a_users_models_that_goes_first_whose_work_is_worth_most_beyond_its_load(
    slow_load: float, chosen: str
) -> None:
    slow = job("slow", models=(A,), need_seconds=8.0, load_seconds=slow_load)
    quick = job("quick", models=(B,), need_seconds=5.0, load_seconds=2.0)
    pool = snapshot([gpu("g0")], [worker("w0", on="g0")], [slow, quick])
    made = plan(pool, pool.now_ms, config())
    assert [d.job.id for d in made.decisions if isinstance(d, Admit)] == [chosen]


def test_who_was_passed_too_often_loads_another_copy_beside_what_runs() -> None:
    assert beside(short("j", skips=64)) == {"j": "w1"}
