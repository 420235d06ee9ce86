"""What is told of a start, corrected by what came of earlier forecasts."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.calibration import Calibration, corrected
from scheduler.forecast import Forecast
from scheduler.ledger_values import Trust

RAW = Forecast(10_000, 30_000)


def foretell(calibration: Calibration, waited_ms: float) -> bool:
    """Forecast one job, let it start; whether it did by its p90."""
    told = corrected(RAW, calibration.trust, 0)
    calibration.observe(RAW, told, 0, int(waited_ms))
    return waited_ms <= told.p90_ms


def test_at_first_the_run_forward_is_told_as_it_is():
    assert Calibration().trust == Trust()
    assert corrected(RAW, Trust(), 0) == RAW


def test_factors_stretch_the_wait_not_the_clock():
    trust = Trust(p50_factor=2.0, p90_factor=3.0)
    later = Forecast(1_000_000 + 9_000, 1_000_000 + 29_000)
    assert corrected(later, trust, 1_000_000) == Forecast(1_019_000, 1_089_000)


def test_the_p50_never_lies_behind_the_p90():
    assert corrected(RAW, Trust(p50_factor=4.0, p90_factor=1.0), 0) == Forecast(30_000, 30_000)


def test_no_forecast_lies_in_the_past():
    assert corrected(RAW, Trust(p50_factor=0.01, p90_factor=0.01), 5_000).p50_ms == 5_000


def test_starts_that_come_late_stretch_what_is_told():
    calibration = Calibration()
    for _ in range(100):
        foretell(calibration, 60_000)
    told = corrected(RAW, calibration.trust, 0)
    assert told.p90_ms == pytest.approx(60_000, abs=1_000)
    assert told.p50_ms == pytest.approx(60_000, abs=1_000)


def test_starts_that_come_early_shorten_it():
    calibration = Calibration()
    for _ in range(400):
        foretell(calibration, 5_000)
    told = corrected(RAW, calibration.trust, 0)
    assert told.p50_ms == pytest.approx(5_000, abs=100)
    assert told.p90_ms == pytest.approx(5_000, abs=100)


def test_one_stray_job_among_few_changes_little():
    calibration = Calibration()
    foretell(calibration, 9_000)
    foretell(calibration, 90_000)
    assert calibration.trust.p50_factor == 1.0


def test_coverage_counts_what_was_told():
    calibration = Calibration()
    hits = [foretell(calibration, waited) for waited in (10_000, 31_000, 5_000, 25_000)]
    assert hits[:2] == [True, False]
    assert calibration.trust.coverage == sum(hits) / 4
    assert calibration.trust.scored == 4


def test_a_job_that_is_late_counts_before_it_starts_and_not_again():
    calibration = Calibration()
    before = calibration.trust.p90_factor
    calibration.overdue()
    assert (calibration.trust.coverage, calibration.trust.scored) == (0.0, 1)
    assert calibration.trust.p90_factor > before
    calibration.observe(RAW, RAW, 0, 90_000, counted=True)
    assert calibration.trust.scored == 1


@given(
    seed=st.integers(0, 2**32),
    biases=st.lists(st.floats(-1.5, 1.5), min_size=1, max_size=3),
    spread=st.floats(0.1, 0.8),
)
@settings(max_examples=40, deadline=None)
def test_nine_of_ten_jobs_start_by_their_p90_whatever_the_bias(
    seed: int, biases: list[float], spread: float
) -> None:
    """Waits are the forecast times a log-normal factor whose bias jumps every 500 jobs."""
    rng, calibration = random.Random(seed), Calibration()
    for bias in biases:
        hits = [
            foretell(calibration, 10_000 * math.exp(rng.gauss(bias, spread))) for _ in range(500)
        ]
    assert 0.85 <= sum(hits[100:]) / 400 <= 0.95
