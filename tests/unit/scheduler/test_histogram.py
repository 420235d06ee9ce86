"""A decaying histogram remembers values in 5 % steps, and forgets."""

from __future__ import annotations

import pytest

from scheduler.histogram import HALF_LIFE_MS, HALF_SAMPLES, Histogram, add


def of(*values: float, now_ms: int = 1) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram = add(histogram, value, now_ms)
    return histogram


def test_nothing_seen_has_no_quantile() -> None:
    assert Histogram().quantile(0.9) == 0
    assert Histogram().weight == 0


def test_a_quantile_is_a_value_that_was_seen() -> None:
    seen = of(1.0, 2.0, 3.0, 4.0)
    assert seen.quantile(0.4) == 2.0
    assert seen.quantile(1.0) == 4.0
    assert seen.quantile(0.0) == 1.0


def test_values_within_five_percent_share_a_bucket_and_its_largest_speaks() -> None:
    seen = of(1.001, 1.03, 1.02)
    assert len(seen.buckets) == 1
    assert seen.quantile(0.1) == 1.03


def test_a_value_is_never_kept_smaller_than_it_was() -> None:
    assert of(1.234567).quantile(1) == pytest.approx(1.235)
    assert of(0.0).quantile(1) > 0


def test_a_sample_counts_half_after_two_hundred_later_ones() -> None:
    seen = of(9.0, *[1.0] * HALF_SAMPLES)
    assert seen.buckets[-1][1] == pytest.approx(0.5, abs=0.05)


def test_a_sample_counts_half_after_seven_days() -> None:
    seen = add(of(9.0), 1.0, 1 + HALF_LIFE_MS)
    assert [weight for _, weight, _ in seen.buckets] == [1.0, 0.5]


def test_what_is_old_is_forgotten() -> None:
    seen = add(of(9.0), 1.0, 1 + 10 * HALF_LIFE_MS)
    assert seen.quantile(1.0) == 1.0


def test_a_clock_that_steps_back_ages_nothing() -> None:
    late = add(Histogram(), 1.0, 10 * HALF_LIFE_MS)
    back = add(late, 2.0, 5)
    assert back.weight == pytest.approx(2.0, abs=0.01)
    assert back.at_ms == late.at_ms


def test_it_stays_small_whatever_it_sees_and_keeps_its_largest_value() -> None:
    seen = of(*[1.07**n for n in range(100)])
    assert len(seen.buckets) == 14
    assert seen.quantile(1.0) >= 1.07**99
    assert seen.weight == pytest.approx(of(*[1.0] * 100).weight, abs=0.5)


def test_a_light_bucket_goes_on_fading_until_it_is_forgotten() -> None:
    seen = of(9.0, *[1.0] * (7 * HALF_SAMPLES))
    assert [top for _, _, top in seen.buckets] == [1.0]
