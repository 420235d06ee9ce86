"""The floor under the makespan of a mix."""

from __future__ import annotations

import pytest

from simulator.mix import physics
from simulator.mix.bound import bound
from simulator.mix.cases import load_facts

_GIB = 2**30
FACTS = load_facts()
SMALL = FACTS.cases["sd15-512-512-1-20"]
LARGE = FACTS.cases["sdxl-1024-1024-1-20"]
BATCH = FACTS.cases["sdxl-1024-1024-4-10"]


def test_where_nothing_fits_together_all_work_is_done_one_by_one() -> None:
    found = bound([SMALL, LARGE], capacity_bytes=LARGE.need_bytes, workers=1, context_bytes=0)
    assert found.gain == pytest.approx(1.0)
    assert found.warm_seconds == pytest.approx(SMALL.run_seconds + LARGE.run_seconds)
    assert found.seconds == pytest.approx(found.warm_seconds + found.load_seconds)


def test_equal_jobs_gain_what_as_many_workers_were_measured_to_gain() -> None:
    room = 2 * LARGE.need_bytes
    found = bound([LARGE, LARGE], capacity_bytes=room, workers=2, context_bytes=0)
    assert found.gain == pytest.approx(0.683 / 0.485)


def test_what_is_left_over_when_the_others_are_done_runs_alone() -> None:
    room = SMALL.need_bytes + LARGE.need_bytes
    found = bound([SMALL, *[LARGE] * 9], capacity_bytes=room, workers=2, context_bytes=0)
    beside = SMALL.run_seconds * SMALL.slowdown(2)
    left = 9 * LARGE.run_seconds - beside / LARGE.slowdown(2)
    assert found.seconds - found.load_seconds == pytest.approx(beside + left)


def test_smaller_steps_count_at_their_own_speed() -> None:
    step = next(step for step in BATCH.curve if step.bytes > 10 * _GIB)
    found = bound([BATCH, BATCH], capacity_bytes=2 * step.bytes, workers=2, context_bytes=0)
    assert found.gain == pytest.approx(
        2 / BATCH.slowdown(2) * BATCH.run_seconds / step.seconds, rel=1e-6
    )


def test_each_checkpoint_is_loaded_once_and_one_process_is_first_used() -> None:
    found = bound([SMALL, SMALL, LARGE], capacity_bytes=80 * _GIB, workers=2, context_bytes=0)
    loads = physics.load_seconds(SMALL.model, 0) + physics.load_seconds(LARGE.model, 0)
    assert found.load_seconds == pytest.approx(loads + physics.FIRST_USE_SECONDS)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_more_workers_never_raise_the_bound(workers: int) -> None:
    few, more = (
        bound(
            FACTS.mix(),
            capacity_bytes=23 * _GIB,
            workers=number,
            context_bytes=FACTS.context_bytes,
        )
        for number in (workers, workers + 1)
    )
    assert more.seconds <= few.seconds + 1e-9
