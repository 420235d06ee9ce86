"""The mix under the production plan."""

from __future__ import annotations

import random

import pytest

from scheduler.states import MemoryLimit
from simulator.mix.cases import load_facts
from simulator.mix.production import drafts, run_production
from simulator.mix.run import GPU_BYTES, compare
from simulator.mix.shared_gpu import SharedGpu
from simulator.world.policies import PRODUCTION

FACTS = load_facts()


def shared(workers: int) -> SharedGpu:
    """The measured card with workers that are told their limit."""
    return SharedGpu(
        FACTS.cases,
        total_bytes=GPU_BYTES,
        workers=workers,
        context_bytes=FACTS.context_bytes,
        limit=MemoryLimit.TOLD,
    )


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_no_job_fails_and_the_card_is_never_over_committed(workers: int, times: int) -> None:
    gpu = shared(workers)
    world = run_production(gpu, drafts(FACTS.mix(times)))
    figures = world.recorder.figures(workers)
    assert (figures.jobs, figures.failed, world.refused) == (36 * times, 0, 0)
    assert gpu.peak_bytes <= GPU_BYTES
    assert gpu.marks.out_of_memory == 0


@pytest.mark.parametrize("workers", [2, 3])
def test_it_beats_one_worker_and_stays_above_the_bound(workers: int) -> None:
    found = compare(FACTS, times=1, workers=[workers], policies=[PRODUCTION])
    [row] = found.rows
    assert row.over_fifo >= 1.0
    assert row.over_round_robin > 1.5
    assert row.makespan_s > found.bound.seconds


def test_two_runs_are_the_same_to_the_last_bit() -> None:
    first, second = (compare(FACTS, times=1, workers=[3]) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("seed", range(4))
def test_seconds_learned_beside_neighbours_make_nobody_load_another_copy(seed: int) -> None:
    """Runs that share a card take longer, and teach so: the work that waits looks like more."""
    jobs = FACTS.mix()
    random.Random(seed).shuffle(jobs)
    gpu = SharedGpu(
        FACTS.cases,
        total_bytes=GPU_BYTES,
        workers=3,
        context_bytes=670 * 2**20,
        limit=MemoryLimit.TOLD,
        first_use_seconds=0.5,
    )
    run_production(gpu, drafts(jobs, apart_seconds=0.006, estimates=1.4))
    assert gpu.loads == len({case.model.name for case in jobs}) == 2


def test_users_take_turns_and_estimates_are_the_truth() -> None:
    made = drafts(FACTS.mix())
    assert [draft.job.user for draft in made[:7]] == [f"user-{n % 6}" for n in range(7)]
    for draft in made:
        assert draft.job.need_bytes == draft.work.peak_bytes
        assert all(step.bytes < draft.job.need_bytes for step in draft.job.curve)
