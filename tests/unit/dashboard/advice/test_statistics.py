"""The tests behind advice, against values of textbooks and against counting."""

from __future__ import annotations

from itertools import combinations, permutations
from random import Random

import pytest

from dashboard.advice.chance import at_least, share_interval, told
from dashboard.advice.ranks import p_above, ratio, shift, thin
from dashboard.advice.resample import sum_interval
from dashboard.advice.trend import p_rising, slope


def test_the_binomial_tail_is_exact() -> None:
    # ten tosses of a fair coin, eight or more heads: 56 of 1024
    assert at_least(8, 10, 0.5) == pytest.approx(56 / 1024)
    assert at_least(0, 10, 0.5) == 1.0
    assert at_least(3, 3, 0.1) == pytest.approx(0.001)
    assert at_least(4000, 5000, 0.1) < 1e-300


def test_wilsons_interval_is_that_of_the_textbook() -> None:
    # 10 of 100 at 95 %: Newcombe 1998
    low, high = share_interval(10, 100, 1.96)
    assert (low, high) == (pytest.approx(0.0552, abs=5e-4), pytest.approx(0.1744, abs=5e-4))
    assert share_interval(0, 0) == (0.0, 1.0)


def test_the_guard_is_that_of_benjamini_and_hochberg() -> None:
    # their example of 1995: fifteen tests, four of them stand at 5 %
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240,
                0.4262, 0.5719, 0.6528, 0.7590, 1.0]  # fmt: skip
    assert told(p_values, 0.05) == [True] * 4 + [False] * 11
    assert told([], 0.05) == []


def test_small_samples_are_counted_out() -> None:
    sample, others = [5.0, 6.0, 7.5], [1.0, 2.0, 5.5, 3.0]
    values = sample + others
    seen = sum(one > other for one in sample for other in others)
    orders = [
        sum(one > other for one in some for other in values if other not in some)
        for some in combinations(values, len(sample))
    ]
    assert p_above(sample, others) == pytest.approx(sum(u >= seen for u in orders) / len(orders))
    assert p_above([2.0, 3.0, 4.0], [1.0]) == 0.25
    assert p_above([], [1.0]) == 1.0


def test_ties_never_speak_for_a_difference_in_small_samples() -> None:
    assert p_above([1.0] * 5, [1.0] * 5) == 1.0
    assert p_above([1.0] * 60, [1.0] * 60) == 1.0


def test_large_samples_agree_with_small_ones() -> None:
    randomness = Random(3)
    sample = [randomness.gauss(0.6, 1) for _ in range(20)]
    others = [randomness.gauss(0.0, 1) for _ in range(20)]
    exact = p_above(sample, others)
    # the same ranks, each twice as often: the normal limit, with about twice the evidence
    assert p_above(sample * 3, others * 3) < exact
    assert p_above(sample, [*others, -9.0]) == pytest.approx(exact, rel=0.5)


def test_a_shift_and_a_ratio_are_found_with_their_bounds() -> None:
    randomness = Random(1)
    others = [randomness.lognormvariate(0, 0.2) for _ in range(60)]
    sample = [4.0 * randomness.lognormvariate(0, 0.2) for _ in range(60)]
    times = ratio(sample, others)
    assert times.low < 4.0 < times.high
    assert times.high / times.low < 1.3
    assert shift([3.0], [1.0]).by == 2.0


def test_an_interval_of_a_sum_holds_it_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(60):
        randomness = Random(seed)
        low, high = sum_interval([randomness.expovariate(1) for _ in range(40)], randomness)
        held += low <= 40.0 <= high
    assert held >= 45
    assert sum_interval([], Random(1)) == (0.0, 0.0)


def test_a_rise_is_counted_out() -> None:
    values = [1.0, 3.0, 2.0, 5.0, 4.0]
    seen = sum(a < b for a, b in combinations(values, 2))
    orders = [sum(a < b for a, b in combinations(order, 2)) for order in permutations(values)]
    assert p_rising(values) == pytest.approx(sum(n >= seen for n in orders) / len(orders))
    assert p_rising([1.0] * 8) == 1.0
    assert p_rising([float(n) for n in range(12)]) < 1e-8


def test_the_slope_is_not_led_astray_by_single_values() -> None:
    times = [float(n) for n in range(12)]
    values = [2.0 * n for n in times]
    values[3], values[7] = 500.0, -400.0
    found = slope(times, values)
    assert found.by == pytest.approx(2.0)
    assert found.low <= 2.0 <= found.high


def test_thinning_keeps_the_ends() -> None:
    assert thin([float(n) for n in range(1000)], 5) == [0.0, 249.0, 499.0, 749.0, 999.0]
