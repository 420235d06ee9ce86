"""What sharing one GPU is worth."""

from __future__ import annotations

import itertools

import pytest

from scheduler.sharing import even_stretch, gain, is_worth_a_load, saved_beside


@pytest.mark.parametrize(("workers", "jobs_per_s"), [(1, 0.485), (2, 0.683), (4, 0.864)])
def test_the_measured_throughput_is_met(workers: int, jobs_per_s: float) -> None:
    assert gain(workers) == pytest.approx(jobs_per_s / 0.485, rel=0.01)


def test_each_worker_more_gives_more_but_less_than_the_one_before() -> None:
    steps = [gain(n + 1) - gain(n) for n in range(5)]
    assert all(later <= earlier for earlier, later in itertools.pairwise(steps))
    assert all(step >= 0 for step in steps)


def test_nobody_computing_gives_nothing_and_many_give_what_four_do() -> None:
    assert gain(0) == 0
    assert gain(32) == gain(4)


@pytest.mark.parametrize("beside", [1, 2, 3])
def test_at_the_even_stretch_the_gpu_does_as_much_with_the_job_as_without(beside: int) -> None:
    each = gain(beside + 1) / (beside + 1)
    together = each * (beside + 1 / even_stretch(beside))
    assert together == pytest.approx(gain(beside))
    assert even_stretch(beside + 1) < even_stretch(beside)


def test_where_one_more_gains_nothing_none_may_take_longer() -> None:
    assert even_stretch(8) == 1


@pytest.mark.parametrize("running", [1, 2, 3])
def test_work_beside_others_is_saved_what_the_gpu_does_more_meanwhile(running: int) -> None:
    work = 10.0
    lasts = work * (running + 1) / gain(running + 1)
    # what is done in that time with the one more worker takes so much longer without it
    assert lasts * gain(running + 1) / gain(running) - lasts == pytest.approx(
        saved_beside(work, running)
    )
    assert saved_beside(work, running + 1) < saved_beside(work, running) < work


def test_a_load_is_worth_it_where_more_is_saved_than_the_gpu_stands_still() -> None:
    load = 10.0
    enough = 0.7 * load / saved_beside(1.0, 1)
    assert is_worth_a_load(enough + 0.01, load, 1)
    assert not is_worth_a_load(enough - 0.01, load, 1)
    # a third worker gains less, a fifth nothing that was measured
    assert not is_worth_a_load(enough + 0.01, load, 2)
    assert not is_worth_a_load(1e9, load, 4)
