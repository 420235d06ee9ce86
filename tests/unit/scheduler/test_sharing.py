"""What sharing one GPU is worth."""

from __future__ import annotations

import itertools

import pytest

from scheduler.sharing import even_stretch, gain


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
