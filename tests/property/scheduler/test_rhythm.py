"""Whatever history holds, the table stays a table of rates."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import Settings
from scheduler.knowledge import Knowledge
from scheduler.outlook import Outlook
from scheduler.plan_config import Demand
from scheduler.rhythm import HOUR_MS, HOURS, WEEK_MS, Rhythm, Usage, from_json, learn
from tests.pools import gpu, snapshot, worker

NOW = 555_600 * 3_600_000
MODELS = ("", "a", "b", "c")
amounts = st.floats(0, 1e6)
usages = st.lists(
    st.builds(
        Usage,
        at_ms=st.integers(NOW - 6 * WEEK_MS, NOW + WEEK_MS),
        model=st.sampled_from(MODELS),
        requests=amounts,
        seconds=amounts,
        bytes=st.integers(0, 2**40),
        load_seconds=st.floats(0, 1e3),
    ),
    max_size=40,
)
rhythms = st.builds(
    lambda seen, weeks: learn(seen, since_ms=NOW - weeks * WEEK_MS, until_ms=NOW),
    usages,
    st.integers(0, 6),
)
times = st.integers(0, 2 * NOW)


@settings(deadline=None, max_examples=40)
@given(rhythms, times)
def test_no_expectation_is_negative_or_above_all_that_was_seen(rhythm: Rhythm, at: int) -> None:
    for model in MODELS:
        rate = rhythm.expected(model, at)
        assert rate >= 0
        habit = rhythm.habits.get(model)
        # smoothing and shrinking only mix what there is
        assert rate <= (sum(habit.requests) if habit else 0) / HOUR_MS * 1000 * HOURS * 2
    assert min(rhythm.load()) >= 0


@settings(deadline=None, max_examples=40)
@given(rhythms)
def test_writing_down_keeps_it(rhythm: Rhythm) -> None:
    again = from_json(rhythm.to_json())
    assert again is not None
    assert again.load() == pytest.approx(rhythm.load(), rel=1e-3, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.floats(0, 1000), st.floats(0, 1000), st.integers(4, 12))
def test_a_steady_habit_is_learned_whatever_was_before(
    before: float, steady: float, weeks: int
) -> None:
    start = NOW - 12 * WEEK_MS
    change = NOW - weeks * WEEK_MS
    seen = [
        Usage(at_ms=at, model="a", requests=before if at < change else steady, seconds=0)
        for at in range(start, NOW, HOUR_MS)
    ]
    rate = learn(seen, since_ms=start, until_ms=NOW).expected("a", NOW) * 3600
    # what is older than w weeks weighs 2^(-w/4) of all there is, and the mean as much again
    left = 2 ** (-weeks / 4)
    assert abs(rate - steady) <= left * abs(before - steady) + 1e-3 * (1 + before + steady)


demands = st.dictionaries(
    st.sampled_from(MODELS[1:]),
    st.builds(
        Demand, rate=st.floats(0, 10), load_seconds=st.floats(0, 100), bytes=st.integers(0, 2**40)
    ),
)


@settings(deadline=None, max_examples=40)
@given(rhythms, demands, times)
def test_blending_lowers_no_recent_rate_and_forgets_nothing_known(
    rhythm: Rhythm, recent: dict[str, Demand], at: int
) -> None:
    outlook = Outlook()
    outlook.follow(rhythm)
    blended = outlook.demand(recent, at)
    for model, known in recent.items():
        assert blended[model].rate >= known.rate
        if known.bytes:
            assert blended[model].bytes == known.bytes
        if known.load_seconds:
            assert blended[model].load_seconds == known.load_seconds
    assert "" not in blended


@settings(deadline=None, max_examples=30)
@given(rhythms, st.integers(1, 8), st.floats(0.05, 1))
def test_peaks_never_last_all_week(rhythm: Rhythm, workers: int, share: float) -> None:
    peaks = rhythm.peaks(NOW, NOW + WEEK_MS, workers=workers, share=share)
    assert sum(peak.end_ms - peak.begin_ms for peak in peaks) < WEEK_MS
    assert all(a.end_ms < b.begin_ms for a, b in pairwise(peaks))


@settings(deadline=None, max_examples=10)
@given(rhythms, st.sampled_from(["5m", "10m", "30m"]), st.floats(0.05, 1))
def test_old_batch_jobs_wait_for_a_peak_no_longer_than_jobs_age(
    rhythm: Rhythm, lead: str, share: float
) -> None:
    rules = {"rhythm": "on", "rhythm_lead": lead, "rhythm_share": share, "aging": "20m"}
    knowledge = Knowledge()
    knowledge.follow(rhythm)
    held = longest = 0
    for minute in range(0, 26 * 60, 2):
        seen = snapshot([gpu()], [worker()], [], now_ms=NOW + minute * 60_000)
        config = knowledge.config(Settings.model_validate({"scheduler": rules}), seen)
        held = held + 2 if seen.now_ms < config.hold_old_until_ms else 0
        longest = max(longest, held)
    assert longest <= 20
