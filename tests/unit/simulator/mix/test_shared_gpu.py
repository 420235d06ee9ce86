"""What processes on one card cost each other."""

from __future__ import annotations

import pytest

from scheduler.ledger_values import Ending, Grant
from scheduler.states import MemoryLimit, WorkerState
from simulator.mix import physics
from simulator.mix.baselines import work_of
from simulator.mix.cases import load_facts
from simulator.mix.shared_gpu import SharedGpu
from simulator.world.machine import Ended, Released

_GIB = 2**30
FACTS = load_facts()
SMALL = FACTS.cases["sd15-512-512-1-20"]
LARGE = FACTS.cases["sdxl-1024-1024-1-20"]
BATCH = FACTS.cases["sdxl-1024-1024-4-10"]
FREE = Grant(bytes=0, capacity_bytes=0)


def card(workers: int = 2, gib: int = 80, limit: MemoryLimit = MemoryLimit.TOLD) -> SharedGpu:
    """A card with idle workers."""
    return SharedGpu(
        FACTS.cases,
        total_bytes=gib * _GIB,
        workers=workers,
        context_bytes=FACTS.context_bytes,
        limit=limit,
    )


def run(gpu: SharedGpu, begun: float = 0.0) -> list[tuple[float, Ended | Released]]:
    """Let everything end."""
    found: list[tuple[float, Ended | Released]] = []
    while (at := gpu.next_event()) is not None:
        found += [(at, one) for one in gpu.advance(at)]
    return found


def ended(gpu: SharedGpu) -> list[Ended]:
    return [one for _, one in run(gpu) if isinstance(one, Ended)]


def warm(gpu: SharedGpu, *workers: str) -> float:
    """Run the large job once on each of the workers, one after the other; returns the time."""
    now = 0.0
    for worker in workers:
        gpu.start(now, worker, work_of(LARGE, "first"), FREE)
        now = run(gpu)[-1][0]
    return now


def test_the_first_job_of_a_process_pays_for_first_use_load_and_new_shape() -> None:
    gpu = card()
    gpu.start(0.0, "host-0", work_of(LARGE, "a"), FREE)
    [one] = ended(gpu)
    load = physics.FIRST_USE_SECONDS + physics.load_seconds(LARGE.model, 0)
    assert one.load_seconds == pytest.approx(load)
    assert one.seconds == pytest.approx(load + physics.NEW_SHAPE_SECONDS + LARGE.run_seconds)
    assert not one.warm


def test_a_warm_job_alone_takes_its_run_time() -> None:
    gpu = card()
    now = warm(gpu, "host-0")
    gpu.start(now, "host-0", work_of(LARGE, "b"), FREE)
    [one] = ended(gpu)
    assert (one.warm, one.load_seconds) == (True, 0.0)
    assert one.seconds == pytest.approx(LARGE.run_seconds)


def test_two_warm_jobs_slow_each_other_as_measured() -> None:
    gpu = card()
    now = warm(gpu, "host-0", "host-1")
    for worker in gpu.workers:
        gpu.start(now, worker, work_of(LARGE, worker), FREE)
    one, other = ended(gpu)
    assert one.seconds == pytest.approx(other.seconds)
    assert one.seconds == pytest.approx(LARGE.run_seconds * 2 * 0.485 / 0.683)


def test_a_job_speeds_up_when_its_neighbour_ends() -> None:
    gpu = card()
    now = warm(gpu, "host-0", "host-1")
    gpu.start(now, "host-0", work_of(LARGE, "a"), FREE)
    gpu.start(now + 1.0, "host-1", work_of(LARGE, "b"), FREE)
    first, second = ended(gpu)
    assert first.job == "a"
    assert LARGE.run_seconds < first.seconds < LARGE.run_seconds * LARGE.slowdown(2)
    assert LARGE.run_seconds < second.seconds < LARGE.run_seconds * LARGE.slowdown(2)


def test_a_load_waits_for_the_turns_of_a_busy_neighbour() -> None:
    assert physics.load_seconds(LARGE.model, 0) < 2.1
    assert 10 < physics.load_seconds(LARGE.model, 1) < 13
    assert 18 < physics.load_seconds(LARGE.model, 2) < 22


def test_another_checkpoint_pushes_the_first_one_out() -> None:
    gpu = card()
    now = warm(gpu, "host-0")
    gpu.start(now, "host-0", work_of(SMALL, "b"), FREE)
    now = run(gpu)[-1][0]
    gpu.start(now, "host-0", work_of(LARGE, "c"), FREE)
    [one] = ended(gpu)
    assert not one.warm
    assert gpu.loads == 3


def test_a_job_keeps_to_the_step_that_fits_its_grant_and_pays_in_time() -> None:
    gpu = card(limit=MemoryLimit.TOLD)
    now = warm(gpu, "host-0")
    gpu.start(now, "host-0", work_of(BATCH, "b"), Grant(bytes=12 * _GIB, capacity_bytes=80 * _GIB))
    [one] = ended(gpu)
    assert one.ending is Ending.SUCCEEDED
    assert 10 * _GIB < one.peak_bytes <= 12 * _GIB
    step = next(step for step in BATCH.curve if step.bytes == one.peak_bytes)
    assert one.seconds > step.seconds > BATCH.run_seconds


def test_without_a_limit_a_job_takes_what_the_card_has_left() -> None:
    gpu = card(workers=1, gib=12, limit=MemoryLimit.OBSERVED)
    gpu.start(0.0, "host-0", work_of(BATCH, "a"), FREE)
    [one] = ended(gpu)
    assert one.ending is Ending.SUCCEEDED
    assert one.peak_bytes <= 12 * _GIB
    assert gpu.marks.squeezed == 1


def test_below_the_least_measured_step_a_job_ends_out_of_memory() -> None:
    gpu = card(workers=1, gib=6, limit=MemoryLimit.OBSERVED)
    gpu.start(0.0, "host-0", work_of(LARGE, "a"), FREE)
    [one] = ended(gpu)
    assert one.ending is Ending.OOM
    assert (gpu.marks.partial_loads, gpu.marks.out_of_memory) == (1, 1)


@pytest.mark.parametrize(
    ("limit", "keeps"), [(MemoryLimit.OBSERVED, True), (MemoryLimit.TOLD, False)]
)
def test_a_worker_without_a_limit_keeps_its_peak(limit: MemoryLimit, keeps: bool) -> None:
    gpu = card(limit=limit)
    gpu.start(0.0, "host-0", work_of(BATCH, "a"), FREE)
    run(gpu)
    [report] = gpu.reports()
    held = report.workers[0].used_bytes
    weights = FACTS.context_bytes + BATCH.model.bytes
    assert held == (BATCH.need_bytes if keeps else weights)
    assert report.gpus[0].used_bytes == held + FACTS.context_bytes


def test_a_release_gives_all_but_the_context_back_and_takes_longer_with_weights() -> None:
    gpu = card()
    now = warm(gpu, "host-0")
    gpu.release(now, "host-0")
    assert gpu.reports()[0].workers[0].state is WorkerState.RELEASING
    [(at, released)] = run(gpu)
    assert released == Released("host-0", FACTS.context_bytes)
    assert 1.4 < at - now < 4.4
    assert physics.release_seconds(None) < 0.5


def test_an_interrupted_job_returns_and_its_model_stays() -> None:
    gpu = card()
    now = warm(gpu, "host-0")
    gpu.start(now, "host-0", work_of(LARGE, "b"), FREE)
    gpu.interrupt(now + 0.5, "host-0")
    [one] = ended(gpu)
    assert one.ending is Ending.RETURNED
    assert one.seconds == pytest.approx(0.5)
    assert gpu.reports()[0].workers[0].models == (LARGE.model.name,)


def test_heartbeats_come_when_something_changed() -> None:
    gpu = card()
    assert len(gpu.reports()) == 1
    assert not gpu.reports()
    gpu.start(0.0, "host-1", work_of(SMALL, "a"), FREE)
    [report] = gpu.reports()
    assert [worker.models for worker in report.workers] == [(), (SMALL.model.name,)]
