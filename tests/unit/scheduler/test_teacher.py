from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from scheduler.profile import Profile
from scheduler.states import FailReason, Job, JobState, Lane
from scheduler.teacher import lesson

GIB = 2**30
JOB = Job(
    id="j",
    user="ann",
    group="default",
    prompt_id="j",
    client_id=None,
    state=JobState.SUCCEEDED,
    rev=4,
    attempt=1,
    number=1,
    lane=Lane.INTERACTIVE,
    fingerprint="own",
    models=(),
    need_bytes=8 * GIB,
    need_seconds=9.0,
    needs_gpu=True,
    inputs=(),
    submitted_ms=1,
    peak_bytes=6 * GIB,
    run_seconds=3.0,
    parents=("near", "far"),
)


def job(**changes: Any) -> Job:
    return dataclasses.replace(JOB, **changes)


def test_a_clean_run_teaches_its_kind_and_the_coarser_ones() -> None:
    first = Profile(1, 6 * GIB, 3.0)
    assert lesson(job(clean=True), {}) == {"own": first, "near": first, "far": first}


def test_what_was_known_is_built_on() -> None:
    taught = lesson(job(clean=True), {"own": Profile(3, 5 * GIB, 1.0), "near": None, "far": None})
    assert taught["own"] == Profile(4, 6 * GIB, 1.5)
    assert taught["near"].count == 1


def test_a_run_on_a_used_worker_teaches_only_a_bound_below_what_was_believed() -> None:
    assert lesson(job(), {}) == {"own": Profile(1, 6 * GIB, 3.0)}
    assert lesson(job(peak_bytes=9 * GIB), {}) == {"own": Profile(1, 0, 3.0)}


def test_a_bound_above_the_learned_peak_does_not_raise_it() -> None:
    taught = lesson(job(peak_bytes=7 * GIB), {"own": Profile(1, 6 * GIB, 3.0)})
    assert taught["own"] == Profile(2, 6 * GIB, 3.0)


def test_a_bound_below_the_learned_peak_lowers_it() -> None:
    taught = lesson(job(peak_bytes=4 * GIB), {"own": Profile(1, 6 * GIB, 3.0)})
    assert 4 * GIB < taught["own"].peak_bytes < 6 * GIB


def test_an_unmeasured_run_teaches_its_seconds() -> None:
    assert lesson(job(peak_bytes=0), {}) == {"own": Profile(1, 0, 3.0)}


@pytest.mark.parametrize(
    "after",
    [
        {"state": JobState.QUEUED},
        {"state": JobState.RUNNING},
        {"state": JobState.FAILED, "reason": FailReason.OOM},
    ],
)
def test_out_of_memory_raises_the_peak_above_what_was_in_use(after: dict[str, Any]) -> None:
    ((name, profile),) = lesson(job(**after), {"own": Profile(2, 5 * GIB, 4.0)}).items()
    assert name == "own"
    assert profile.peak_bytes > 6 * GIB
    assert (profile.count, profile.seconds) == (2, 4.0)


def test_out_of_memory_never_teaches_less_than_the_promise_that_was_not_enough() -> None:
    (profile,) = lesson(job(state=JobState.QUEUED, peak_bytes=5 * GIB), {}).values()
    assert profile.peak_bytes > 8 / 1.2 * GIB


def test_out_of_memory_far_below_the_promise_is_anothers_doing() -> None:
    assert lesson(job(state=JobState.QUEUED, peak_bytes=GIB), {}) == {}


@pytest.mark.parametrize(
    "nothing",
    [
        {"run_seconds": 0.0},
        {"state": JobState.QUEUED, "peak_bytes": 0},
        {"state": JobState.CANCELLED},
        {"state": JobState.FAILED, "reason": FailReason.NODE_ERROR},
    ],
)
def test_other_ends_teach_nothing(nothing: dict[str, Any]) -> None:
    assert lesson(job(**nothing), {}) == {}
