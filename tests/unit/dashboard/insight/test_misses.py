"""Promises against what came."""

from __future__ import annotations

from dashboard.insight.misses import EDGES, byte_errors, second_errors
from tests.unit.dashboard.insight.heads import head


def test_errors_are_relative_to_what_came() -> None:
    jobs = [
        head(need_bytes=need, reserved_bytes=need, peak_bytes=100) for need in (100, 110, 90, 300)
    ]
    told = byte_errors(jobs)
    assert (told["runs"], told["under"], told["median"]) == (4, 1, 0.1)
    assert told["classes"] == [1, 0, 2, 0, 0, 0, 1]
    assert len(told["classes"]) == len(EDGES) + 1


def test_jobs_that_were_given_less_or_did_not_end_well_prove_nothing() -> None:
    jobs = [
        head(reserved_bytes=1), head(state="FAILED"), head(peak_bytes=0, run_seconds=0.0),
        head(need_bytes=0, need_seconds=0.0),
    ]  # fmt: skip
    assert byte_errors(jobs)["runs"] == 0
    assert second_errors(jobs)["median"] is None
