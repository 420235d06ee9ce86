"""The model against the runs that were measured on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from scheduler.states import MemoryLimit
from simulator.mix.baselines import Outcome, by_peaks, round_robin
from simulator.mix.cases import Case, load_facts
from simulator.mix.shared_gpu import SharedGpu

_GIB = 2**30
FACTS = load_facts()


def shared(workers: int, gpu_gib: int) -> SharedGpu:
    """A card with workers that nothing limits."""
    return SharedGpu(
        FACTS.cases,
        total_bytes=gpu_gib * _GIB,
        workers=workers,
        context_bytes=FACTS.context_bytes,
        limit=MemoryLimit.OBSERVED,
    )


def peaks(gpu: SharedGpu, jobs: Sequence[Case]) -> Outcome:
    """Admission by peaks on a card of 24 GiB."""
    return by_peaks(gpu, jobs, 24 * _GIB)


RUNS = [
    ("one worker, FIFO", 1, 24, round_robin),
    ("round robin", 3, 24, round_robin),
    ("round robin", 4, 48, round_robin),
    ("admission by known peaks", 3, 24, peaks),
]


@pytest.mark.parametrize(("policy", "workers", "gpu_gib", "run"), RUNS)
def test_a_measured_run_of_the_mix_is_reproduced_within_15_percent(
    policy: str, workers: int, gpu_gib: int, run: Callable[[SharedGpu, Sequence[Case]], Outcome]
) -> None:
    measured = [
        one.makespan_seconds
        for one in FACTS.measured
        if (one.policy, one.workers, one.gpu_bytes) == (policy, workers, gpu_gib * _GIB)
    ]
    outcome = run(shared(workers, gpu_gib), FACTS.mix())
    assert measured
    for seconds in measured:
        assert outcome.makespan_seconds == pytest.approx(seconds, rel=0.15)


def test_round_robin_fails_one_job_on_24_gib_as_it_did() -> None:
    gpu = shared(3, 24)
    assert round_robin(gpu, FACTS.mix()).failed == 1
    assert gpu.marks.out_of_memory == 1
    assert gpu.marks.partial_loads >= 1


@pytest.mark.parametrize(("workers", "gpu_gib"), [(1, 24), (4, 48)])
def test_round_robin_fails_no_job_where_all_fit(workers: int, gpu_gib: int) -> None:
    gpu = shared(workers, gpu_gib)
    assert round_robin(gpu, FACTS.mix()).failed == 0
    assert gpu.marks.out_of_memory == 0


def test_single_jobs_take_20_s_and_more_where_three_workers_load_at_once() -> None:
    outcome = round_robin(shared(3, 24), FACTS.mix())
    seconds = sorted(ended.seconds for _, ended in outcome.ended)
    measured = next(
        run for run in FACTS.measured if (run.policy, run.workers) == ("round robin", 3)
    )
    assert seconds[-8] > 20
    assert sum(seconds) == pytest.approx(sum(took for _, took in measured.jobs), rel=0.15)


def test_the_same_mix_twice_is_the_same_to_the_last_bit() -> None:
    assert by_peaks(shared(3, 24), FACTS.mix(), 24 * _GIB) == by_peaks(
        shared(3, 24), FACTS.mix(), 24 * _GIB
    )
