"""Counts as the store has them, and as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from dashboard.metrics.counted import COUNTED, LOST, NODE, SPREADS, WAIT, Tally
from dashboard.metrics.families import kept
from store.tallies import Key


def told(counts: Mapping[Key, int]) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("vramgate_"), *list(sample.labels.values())[1:]): sample.value
        for family in kept("p", counts)
        for sample in family.samples
    }


def test_a_histogram_counts_up_and_its_last_bucket_is_all() -> None:
    tally = Tally()
    for seconds in (0.2, 0.5, 0.6, 4.0, 99_999.0):
        tally.observe(WAIT, seconds, "batch")
    found = told(tally.counts)
    buckets = {key[2]: value for key, value in found.items() if key[0] == "job_wait_seconds_bucket"}
    assert (buckets["0.5"], buckets["1"], buckets["5"], buckets["+Inf"]) == (2, 3, 4, 5)
    assert found["job_wait_seconds_count", "batch"] == 5
    assert found["job_wait_seconds_sum", "batch"] == pytest.approx(100_004.3)


def test_what_has_no_labels_begins_with_zero() -> None:
    found = told({})
    assert found["probe_records_lost_total",] == 0
    assert found["node_run_seconds_count",] == 0
    assert not [key for key in found if key[0] == "jobs_ended_total"]


def test_counts_of_another_version_do_no_harm() -> None:
    found = told(
        {
            ("probe_records_lost", ()): 3,
            ("probe_records_lost", ("a label that there was",)): 7,
            ("job_wait_seconds", ("batch", "0.5")): 1,
            ("job_wait_seconds", ("batch", "0.75")): 1,
            ("job_wait_seconds", ("batch", "sum")): 1250,
            ("job_wait_seconds", ()): 1,
            ("no_longer_told", ()): 1,
        }
    )
    assert found["probe_records_lost_total",] == 3
    assert found["job_wait_seconds_bucket", "batch", "0.75"] == 2
    assert found["job_wait_seconds_bucket", "batch", "+Inf"] == 2


def test_names_and_units_are_those_of_prometheus() -> None:
    names = [one.name for one in (*COUNTED, *SPREADS)]
    assert len(set(names)) == len(names)
    assert all(one.name.endswith("_seconds") for one in SPREADS)
    assert all(list(one.bounds) == sorted(set(one.bounds)) for one in SPREADS)
    assert all(one.help.endswith(".") for one in (*COUNTED, *SPREADS))


def test_sums_are_whole_and_lose_nothing() -> None:
    tally = Tally()
    for _ in range(1000):
        tally.observe(NODE, 0.001)
    tally.count(LOST, by=2)
    assert tally.counts["node_run_seconds", ("sum",)] == 1000
    assert tally.counts["probe_records_lost", ()] == 2
