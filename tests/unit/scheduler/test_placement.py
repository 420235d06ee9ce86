"""Capacity, holds and headroom, with figures small enough to check by hand."""

from __future__ import annotations

import pytest

from scheduler.decisions import Admit, Release
from scheduler.placement import BASE_BYTES, Room, Safety, capacity_bytes
from scheduler.plan_config import Demand
from scheduler.policy import plan
from scheduler.states import GpuState, Job, Snapshot, WorkerState
from tests.pools import GIB, NO_SAFETY, config, gpu, job, running, snapshot, worker


def headroom(pool: Snapshot, name: str) -> int:
    return Room(pool, pool.now_ms, NO_SAFETY).seats[name].headroom


def place(gpus, workers, new: Job, *, active=(), now_ms: int = 1_000_000, **rules):
    """Where a plan starts the job, and with how many bytes; None: nowhere now."""
    pool = snapshot(gpus, workers, [new], active=active, now_ms=now_ms)
    made = plan(pool, now_ms, config(**rules))
    admits = [d for d in made.decisions if isinstance(d, Admit)]
    return (admits[0].worker.id, admits[0].grant.bytes) if admits else None


def released(gpus, workers, new: Job, *, active=(), **rules) -> list[str]:
    """Workers that a plan makes give their memory back for the job."""
    pool = snapshot(gpus, workers, [new], active=active)
    made = plan(pool, pool.now_ms, config(**rules))
    return [d.worker.id for d in made.decisions if isinstance(d, Release)]


@pytest.mark.parametrize(
    ("total", "foreign", "safety", "expected"),
    [
        (24, 0, Safety(0.03, 512 * 2**20), 24 * GIB - int(0.03 * 24 * GIB)),
        (8, 0, Safety(0.03, 512 * 2**20), 8 * GIB - 512 * 2**20),
        (24, 10, Safety(0.0, 0), 14 * GIB),
        (24, 24, Safety(0.03, 512 * 2**20), 0),
    ],
)
def test_capacity_is_total_less_foreign_less_safety(total, foreign, safety, expected):
    assert capacity_bytes(gpu(total=total, foreign=foreign), safety) == expected


def test_headroom_counts_what_other_workers_hold_not_its_own_residency():
    pool = snapshot([gpu(used=9)], [worker("w0", used=6), worker("w1", used=3)], [])
    assert headroom(pool, "w0") == 21 * GIB
    assert headroom(pool, "w1") == 18 * GIB


def test_a_reservation_counts_before_it_is_taken():
    pool = snapshot([gpu(used=2)], [worker("w0", used=2, reserved=17, job="j"), worker("w1")], [])
    assert headroom(pool, "w1") == 7 * GIB


def test_memory_the_device_shows_as_gone_is_not_promised():
    # 10 GiB are in use that nobody accounts for: foreign has not been followed yet.
    pool = snapshot([gpu(used=12)], [worker("w0", used=2)], [])
    assert headroom(pool, "w0") == 14 * GIB


def test_taking_a_job_keeps_the_sums_of_a_card():
    pool = snapshot([gpu(used=9)], [worker("w0", used=6), worker("w1", used=3)], [])
    room = Room(pool, pool.now_ms, NO_SAFETY)
    room.seats["w0"].take(job("j", need=10), 10 * GIB, 0, 0)
    assert room.seats["w1"].headroom == 14 * GIB
    assert room.seats["w0"].headroom == 21 * GIB


WORKERS = [
    worker("evict", on="g0", used=3, models=("checkpoints/b",)),
    worker("empty", on="g1", used=1),
    worker("warm", on="g2", used=4, models=("checkpoints/a",)),
]
GPUS = [gpu("g0", used=3), gpu("g1", used=1), gpu("g2", used=4)]


@pytest.mark.parametrize(("count", "chosen"), [(3, "warm"), (2, "empty"), (1, "evict")])
def test_a_warm_worker_comes_before_an_empty_one_and_that_before_one_to_evict(count, chosen):
    found = place(GPUS[:count], WORKERS[:count], job("j"))
    assert found is not None
    assert found[0] == chosen


def test_another_model_on_the_worker_is_counted_on_top():
    workers = [worker("w0", used=5.5, models=("checkpoints/b",))]
    need = 4 * GIB + int(5.5 * GIB) - BASE_BYTES
    assert place([gpu(used=5.5)], workers, job("j", need=4)) == ("w0", need)


def test_a_worker_alone_on_its_gpu_makes_room_among_its_own_models():
    workers = [worker("w0", used=20, models=("checkpoints/b",))]
    assert place([gpu(used=20)], workers, job("j", need=12)) == ("w0", 24 * GIB)


@pytest.mark.parametrize(
    "changes", [{"state": WorkerState.DOWN}, {"state": WorkerState.RELEASING}, {"job": "other"}]
)
def test_a_worker_that_is_down_releasing_or_busy_takes_nothing(changes):
    assert place([gpu()], [worker("w0", **changes)], job("j")) is None


def test_a_suspect_gpu_takes_nothing():
    assert place([gpu(state=GpuState.SUSPECT)], [worker("w0")], job("j")) is None


def test_a_cpu_worker_takes_gpu_work_only_in_a_pool_without_gpus():
    cpu = worker("cpu", on="")
    assert place([], [cpu], job("j")) == ("cpu", 0)
    mixed = [cpu, worker("w0", job="x")]
    assert place([gpu()], mixed, job("j")) is None
    assert place([gpu()], mixed, job("j", needs_gpu=False)) == ("cpu", 0)


def test_the_fewest_bytes_are_released_and_only_as_many_as_needed():
    other = ("checkpoints/b",)
    workers = [
        worker("w0"),
        worker("w1", used=4, models=other),
        worker("w2", used=10, models=other),
    ]
    assert released([gpu(used=14)], workers, job("j", need=12)) == ["w1"]


def test_the_resident_that_is_asked_for_least_is_released():
    workers = [
        worker("w0"),
        worker("often", used=9, models=("checkpoints/often",)),
        worker("never", used=9, models=("checkpoints/never",)),
    ]
    demand = {
        "checkpoints/often": Demand(rate=0.01, load_seconds=20, bytes=6 * GIB),
        "checkpoints/never": Demand(rate=0.0, load_seconds=20, bytes=6 * GIB),
    }
    assert released([gpu(used=18)], workers, job("j", need=10), demand=demand) == ["never"]


def test_nothing_is_released_for_a_job_that_would_not_fit_even_then():
    workers = [worker("w0"), worker("w1", used=4), worker("w2", used=1, reserved=20, job="x")]
    found = released([gpu(used=5)], workers, job("j", need=12), active=[running("x", "w2")])
    assert found == []


def test_a_worker_that_kept_its_bytes_after_a_release_is_not_asked_again():
    workers = [worker("w0"), worker("w1", used=6)]
    floors = {"w1": 6 * GIB}
    assert released([gpu(used=6)], workers, job("j", need=20), floors=floors) == []


def test_a_job_larger_than_every_gpu_gets_the_largest_that_is_idle():
    gpus = [gpu("small", total=8), gpu("large", total=24)]
    workers = [worker("w0", on="small"), worker("w1", on="large", used=1)]
    found = place(gpus, workers, job("j", need=40))
    assert found is not None
    assert found[0] == "w1"


def test_a_gpu_that_others_fill_is_not_offered_as_a_whole_one():
    found = place(
        [gpu(foreign=24)],
        [worker("w0")],
        job("j", need=9),
        now_ms=10_000_000,
        heartbeat_ms=10_000_000,
    )
    assert found is None


def test_a_job_without_gpu_takes_a_cpu_worker_first_and_any_worker_of_a_full_gpu_else():
    full = worker("a", used=2)
    other = worker("b", used=24, reserved=24, job="x")
    free = job("j", need=0, needs_gpu=False, models=())
    gpus = [gpu(used=26)]
    assert place(gpus, [full, other, worker("cpu", on="")], free) == ("cpu", 0)
    assert place(gpus, [full, other], free) == ("a", 0)


def test_a_silent_worker_takes_nothing_but_what_it_holds_counts():
    workers = [worker("gone", used=10, heartbeat_ms=0), worker("here")]
    found = place([gpu(used=10)], workers, job("j"))
    assert found is not None
    assert found[0] == "here"
    assert released([gpu(used=10)], workers, job("j", need=20)) == []
    assert headroom(snapshot([gpu(used=10)], workers, []), "here") == 14 * GIB


@pytest.mark.parametrize(("age_ms", "takes"), [(10_000, True), (10_001, False)])
def test_a_gpu_takes_jobs_as_long_as_the_ledger_would_admit_them(age_ms: int, takes: bool):
    gpus = [gpu(heartbeat_ms=1_000_000 - age_ms)]
    assert (place(gpus, [worker("w0")], job("j")) is not None) is takes
