"""Capacity, holds and headroom, with figures small enough to check by hand."""

from __future__ import annotations

import pytest

from scheduler.placement import BASE_BYTES, Room, Safety, capacity_bytes
from scheduler.states import GpuState, WorkerState
from tests.pools import GIB, NO_SAFETY, gpu, job, snapshot, worker


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
    room = Room(pool, NO_SAFETY)
    assert room.headroom(pool.workers[0]) == 21 * GIB
    assert room.headroom(pool.workers[1]) == 18 * GIB


def test_a_reservation_counts_before_it_is_taken():
    pool = snapshot([gpu(used=2)], [worker("w0", used=2, reserved=17, job="j"), worker("w1")], [])
    assert Room(pool, NO_SAFETY).headroom(pool.workers[1]) == 7 * GIB


def test_memory_the_device_shows_as_gone_is_not_promised():
    # 10 GiB are in use that nobody accounts for: foreign has not been followed yet.
    pool = snapshot([gpu(used=12)], [worker("w0", used=2)], [])
    assert Room(pool, NO_SAFETY).headroom(pool.workers[0]) == 14 * GIB


def test_a_warm_worker_comes_before_an_empty_one_and_that_before_one_to_evict():
    workers = [
        worker("evict", used=3, models=("checkpoints/b",)),
        worker("empty", used=1),
        worker("warm", used=4, models=("checkpoints/a",)),
    ]
    pool = snapshot([gpu(used=8)], workers, [])
    offers = Room(pool, NO_SAFETY).offers(job("j"))
    assert [offer.worker.id for offer in offers] == ["warm", "empty", "evict"]


def test_another_model_on_the_worker_is_counted_on_top():
    pool = snapshot([gpu(used=5.5)], [worker("w0", used=5.5, models=("checkpoints/b",))], [])
    offer = Room(pool, NO_SAFETY).offers(job("j", need=4))[0]
    assert offer.bytes == 4 * GIB + int(5.5 * GIB) - BASE_BYTES


@pytest.mark.parametrize(
    "changes", [{"state": WorkerState.DOWN}, {"state": WorkerState.RELEASING}, {"job": "other"}]
)
def test_a_worker_that_is_down_releasing_or_busy_is_not_offered(changes):
    pool = snapshot([gpu()], [worker("w0", **changes)], [])
    assert Room(pool, NO_SAFETY).offers(job("j")) == []


def test_a_suspect_gpu_takes_nothing():
    pool = snapshot([gpu(state=GpuState.SUSPECT)], [worker("w0")], [])
    assert Room(pool, NO_SAFETY).offers(job("j")) == []


def test_a_cpu_worker_takes_gpu_work_only_in_a_pool_without_gpus():
    cpu = worker("cpu", on="")
    assert Room(snapshot([], [cpu], []), NO_SAFETY).offers(job("j"))[0].worker == cpu
    mixed = snapshot([gpu()], [cpu, worker("w0", job="x")], [])
    assert Room(mixed, NO_SAFETY).offers(job("j")) == []
    assert Room(mixed, NO_SAFETY).offers(job("j", needs_gpu=False))[0].worker == cpu


def test_the_fewest_bytes_are_released_and_only_as_many_as_needed():
    workers = [worker("w0"), worker("w1", used=4), worker("w2", used=10)]
    pool = snapshot([gpu(used=14)], workers, [])
    released = Room(pool, NO_SAFETY).releases_for(job("j", need=12))
    assert [w.id for w in released] == ["w1"]


def test_nothing_is_released_for_a_job_that_would_not_fit_even_then():
    workers = [worker("w0"), worker("w1", used=4), worker("w2", used=1, reserved=20, job="x")]
    pool = snapshot([gpu(used=5)], workers, [])
    assert Room(pool, NO_SAFETY).releases_for(job("j", need=12)) == []


def test_a_worker_that_kept_its_bytes_after_a_release_is_not_asked_again():
    pool = snapshot([gpu(used=6)], [worker("w0"), worker("w1", used=6)], [])
    room = Room(pool, NO_SAFETY, floors={"w1": 6 * GIB})
    assert room.releases_for(job("j", need=20)) == []


def test_a_job_larger_than_every_gpu_gets_the_largest_that_is_idle():
    gpus = [gpu("small", total=8), gpu("large", total=24)]
    pool = snapshot(gpus, [worker("w0", on="small"), worker("w1", on="large")], [])
    offers = Room(pool, NO_SAFETY).offers(job("j", need=40))
    assert [offer.worker.id for offer in offers] == ["w1", "w0"]


def test_a_gpu_that_others_fill_is_not_offered_as_a_whole_one():
    pool = snapshot([gpu(foreign=24)], [worker("w0")], [], now_ms=10_000_000)
    room = Room(pool, NO_SAFETY, heartbeat_ms=10_000_000)
    assert room.offers(job("j", need=9)) == []


def test_a_job_without_gpu_takes_a_cpu_worker_first_and_any_worker_of_a_full_gpu_else():
    full = worker("a", used=2)
    other = worker("b", used=24, reserved=24, job="x")
    cpu = worker("cpu", on="")
    free = job("j", need=0, needs_gpu=False, models=())
    pool = snapshot([gpu(used=26)], [full, other, cpu], [])
    offers = Room(pool, NO_SAFETY).offers(free)
    assert [offer.worker.id for offer in offers] == ["cpu", "a"]


def test_a_silent_worker_takes_nothing_but_what_it_holds_counts():
    workers = [worker("gone", used=10, heartbeat_ms=0), worker("here")]
    room = Room(snapshot([gpu(used=10)], workers, []), NO_SAFETY)
    assert [offer.worker.id for offer in room.offers(job("j"))] == ["here"]
    assert room.releases_for(job("j", need=20)) == []
    assert room.headroom(workers[1]) == 14 * GIB


@pytest.mark.parametrize(("age_ms", "offers"), [(10_000, 1), (10_001, 0)])
def test_a_gpu_takes_jobs_as_long_as_the_ledger_would_admit_them(age_ms: int, offers: int):
    pool = snapshot([gpu(heartbeat_ms=1_000_000 - age_ms)], [worker("w0")], [])
    assert len(Room(pool, NO_SAFETY, heartbeat_ms=10_000).offers(job("j"))) == offers
