"""A profile remembers ratios of one kind of workflow, small and for good."""

from __future__ import annotations

import pytest

from scheduler.bound import BYTES
from scheduler.profile import (
    VERSION,
    Profile,
    add_bytes,
    add_load,
    add_oom,
    add_seconds,
    add_slowdown,
    add_small_oom,
    add_success,
    add_whole_oom,
    from_json,
    to_json,
)
from scheduler.states import Guess


def full() -> Profile:
    """A profile of a long and varied life."""
    profile = Profile(about="x" * 64, count=2_000, at_ms=1_800_000_000_000)
    for n in range(500):
        profile = add_bytes(profile, 0.5 + (n * 37 % 100) / 100, n * 60_000, 1.0)
        profile = add_seconds(profile, 0.3 + (n * 53 % 400) / 100, n * 60_000, 2.0)
        profile = add_load(profile, 0.1 + (n * 71 % 300) / 100, n * 60_000)
        profile = add_slowdown(profile, 0.2 + (n % 8) / 10, 1.5)
    return add_whole_oom(add_small_oom(profile, 0.4), 2.0)


def test_what_was_learned_is_a_ratio_with_a_bound_above_it() -> None:
    profile = add_bytes(Profile(), 0.9, 1, 1.0)
    assert profile.bytes.seen.quantile(1) == 0.9
    assert 0.9 < profile.bytes.bound.value <= 1.0


def test_it_goes_through_json_and_stays_small() -> None:
    for profile in (Profile(), add_seconds(Profile(), 1.1, 1, 2.0), full()):
        assert from_json(to_json(profile)) == profile
        assert from_json(to_json(profile).encode()) == profile
        assert len(to_json(profile)) <= 1_536
    assert len(to_json(add_bytes(add_seconds(Profile(), 1.1, 1, 2.0), 1.0, 1, 1.0))) < 600


def test_a_record_of_another_version_is_as_good_as_none() -> None:
    assert from_json('{"count":3,"peak_bytes":4294967296,"seconds":7.5}') is None
    assert from_json(f'{{"v":{VERSION + 1},"anything":[1]}}') is None


def test_what_a_later_version_adds_is_passed_over() -> None:
    text = to_json(Profile(count=3))
    assert from_json(text.replace('"count"', '"allocated":{"a":1},"count"')) == Profile(count=3)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "7", '{"v":2,"count":-1}', '{"v":2,"count":"many"}', '{"v":2,"about":7}',
     '{"v":2,"bytes":{"seen":{"buckets":[[1,-2.0,1.0]],"at_ms":0},"bound":{}}}',
     '{"v":2,"slowdowns":[{"share":1,"ratio":-1,"count":1}]}', '{"v":2,"too_small":NaN}'],
)  # fmt: skip
def test_what_is_no_profile_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        from_json(text)


def test_out_of_memory_raises_the_bound_and_stays_remembered() -> None:
    before = add_bytes(Profile(), 0.9, 1, 1.0)
    after = add_oom(before, 1.3, 2)
    assert after.bytes.bound.value == 1.3
    again = add_bytes(after, 0.9, 3, 1.0)
    assert again.bytes.bound.value == 1.3
    assert add_oom(before, 0.1, 2).bytes.bound.value > before.bytes.bound.value


def test_a_success_takes_back_the_proof_that_it_fits_nowhere() -> None:
    proven = add_whole_oom(add_whole_oom(Profile(), 0.8), 0.7)
    assert (proven.whole_ooms, proven.whole_share) == (2, 0.8)
    assert add_success(proven, Guess(1, 1.0, 1.0), 1).whole_ooms == 0


def test_a_rare_peak_among_many_is_let_go_in_the_end() -> None:
    profile = add_bytes(Profile(), 1.5, 0, 2.0)
    for n in range(1_000):
        profile = add_bytes(profile, 1.0, n * 60_000, 2.0)
    assert profile.bytes.bound.value == pytest.approx(1.0 * (1 + BYTES.margin))
