"""Promises are compared with what came of them."""

from __future__ import annotations

from scheduler.accuracy import Accuracy, count_bytes, count_seconds


def test_nothing_compared_says_nothing() -> None:
    nothing = Accuracy()
    assert (nothing.byte_error, nothing.second_error) == (None, None)
    assert (nothing.under_share, nothing.covered_share) == (0.0, 1.0)


def test_bytes_count_by_how_far_off_they_were_and_whether_they_were_too_few() -> None:
    accuracy = Accuracy()
    for promised in (100, 104, 104, 95, 300):
        accuracy = count_bytes(accuracy, promised, 100)
    assert accuracy.byte_runs == 5
    assert accuracy.byte_error == 0.05
    assert accuracy.under_share == 0.2


def test_seconds_count_by_how_far_off_and_whether_the_bound_held() -> None:
    accuracy = Accuracy()
    for took in (10, 10.1, 11, 25):
        accuracy = count_seconds(accuracy, 10, 20, took)
    assert accuracy.second_error == 0.01
    assert accuracy.covered_share == 0.75


def test_errors_beyond_all_classes_have_no_edge() -> None:
    accuracy = count_bytes(Accuracy(), 500, 100)
    assert accuracy.byte_error == float("inf")


def test_what_was_not_measured_is_not_compared() -> None:
    assert count_bytes(Accuracy(), 5, 0).byte_runs == 0
