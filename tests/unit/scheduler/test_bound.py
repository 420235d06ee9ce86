"""Bounds hold the share of misses they aim at, and firm ones rise only by misses."""

from __future__ import annotations

import random

import pytest

from scheduler.bound import BYTES, SECONDS, Bound, Rule, cautious, learn, raise_after_oom
from scheduler.histogram import Histogram, add


def after(rule: Rule, *samples: float, prior: float = 10.0) -> Bound:
    seen, bound = Histogram(), Bound()
    for sample in samples:
        seen = add(seen, sample, 1)
        bound = learn(rule, bound, seen, sample, prior)
    return bound


def test_the_first_sample_is_doubted_as_far_as_the_prior_is_surer() -> None:
    assert after(BYTES, 1.0).value == pytest.approx(1.2)
    assert after(BYTES, 1.0, prior=1.1).value == pytest.approx(1.1)
    assert after(BYTES, 1.0, prior=0.5).value == pytest.approx(1.02)


def test_doubt_shrinks_with_the_number_of_samples() -> None:
    bounds = [after(BYTES, *[1.0] * n).value for n in range(1, 12)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[2] <= 1.04
    assert bounds[-1] == pytest.approx(1.02)


def test_a_sample_above_a_firm_bound_raises_it_above_the_sample() -> None:
    before = after(BYTES, 1.0, 1.0, 1.0)
    assert after(BYTES, 1.0, 1.0, 1.0, 1.5).value > max(before.value, 1.5)


def test_a_sample_below_a_firm_bound_never_raises_it() -> None:
    assert after(BYTES, 1.0, 1.0, 1.03).value <= after(BYTES, 1.0, 1.0).value


def test_out_of_memory_raises_strictly_and_to_what_was_needed() -> None:
    before = after(BYTES, 1.0, 1.0)
    assert raise_after_oom(BYTES, before, 0.3).value > before.value
    assert raise_after_oom(BYTES, before, 3.0).value == 3.0
    assert raise_after_oom(BYTES, Bound(), 3.0) == Bound(3.0, BYTES.target)


def test_a_miss_makes_the_next_bound_more_careful_and_hits_make_it_bolder() -> None:
    start = after(SECONDS, 1.0)
    assert after(SECONDS, 1.0, 9.0).alpha < start.alpha < after(SECONDS, 1.0, 1.0).alpha


def test_eight_samples_speak_for_themselves() -> None:
    assert cautious(BYTES, 1.0, 8, prior=9.0) == pytest.approx(1.02)
    assert cautious(BYTES, 1.0, 3, prior=9.0) > 1.02


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_of_seconds_covers_the_share_it_aims_at_whatever_comes(seed: int) -> None:
    chance = random.Random(seed)
    seen, bound, misses, count = Histogram(), Bound(), 0, 4_000
    for n in range(count):
        shift = 1.0 if n < count / 2 else 3.0  # a new driver, a new GPU
        sample = shift * chance.lognormvariate(0.0, 0.4)
        misses += 0 < bound.value < sample
        seen = add(seen, sample, n * 60_000)
        bound = learn(SECONDS, bound, seen, sample, 2.0)
    assert 0.03 <= misses / count <= 0.07
