"""A profile remembers peaks and times of one kind of workflow."""

from __future__ import annotations

import pytest

from scheduler.profile import Profile, from_json, observe, to_json

GIB = 1 << 30


def test_the_first_run_is_taken_as_it_was() -> None:
    assert observe(None, 5 * GIB, 3.0) == Profile(1, 5 * GIB, 3.0)


def test_a_larger_peak_counts_at_once_and_a_smaller_one_slowly() -> None:
    first = observe(None, 5 * GIB, 3.0)
    assert observe(first, 8 * GIB, 3.0).peak_bytes == 8 * GIB
    lower = observe(first, 4 * GIB, 3.0).peak_bytes
    assert 4.8 * GIB < lower < 5 * GIB


def test_a_peak_that_was_not_measured_changes_only_the_time() -> None:
    found = observe(observe(None, 5 * GIB, 2.0), 0, 4.0)
    assert found == Profile(2, 5 * GIB, 3.0)


def test_the_mean_of_seconds_follows_a_change() -> None:
    profile = observe(None, GIB, 10.0)
    for _ in range(200):
        profile = observe(profile, GIB, 1.0)
    assert profile.seconds == pytest.approx(1.0, abs=0.01)


def test_running_out_of_memory_raises_the_peak_and_nothing_else() -> None:
    before = observe(None, 5 * GIB, 3.0)
    after = observe(before, 6 * GIB, 0.5, oom=True)
    assert after.peak_bytes == int(6 * GIB * 1.2)
    assert (after.count, after.seconds) == (1, 3.0)
    assert observe(None, 100, 0.1, oom=True).peak_bytes == 100 + (256 << 20)


def test_running_out_of_less_than_was_ever_needed_lowers_nothing() -> None:
    before = Profile(3, 9 * GIB, 3.0)
    assert observe(before, 2 * GIB, 0.5, oom=True) == before


def test_it_goes_through_json() -> None:
    profile = Profile(3, 9 * GIB, 2.5)
    assert from_json(to_json(profile)) == profile
    assert from_json(to_json(profile).encode()) == profile


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"count":1,"peak_bytes":-1,"seconds":1}', '{"count":1,"peak_bytes":1,"seconds":NaN}',
     '{"count":true,"peak_bytes":1,"seconds":1}', '{"count":1,"peak_bytes":Infinity,"seconds":1}'],
)  # fmt: skip
def test_what_is_no_profile_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        from_json(text)
