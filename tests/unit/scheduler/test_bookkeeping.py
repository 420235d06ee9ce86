"""What both ledgers share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.bookkeeping import changed, cost, event_score, own_folder
from scheduler.states import Job, JobState, Lane

JOB = Job(
    id="j",
    user="ann",
    group="g",
    prompt_id="j",
    client_id=None,
    state=JobState.QUEUED,
    rev=1,
    attempt=0,
    number=1,
    lane=Lane.BATCH,
    fingerprint="f",
    models=("a",),
    need_bytes=1,
    need_seconds=1.0,
    needs_gpu=True,
    inputs=(),
    submitted_ms=1,
)


@pytest.mark.parametrize(
    ("charge", "granted", "ran", "expected"),
    [
        (1000, 10.0, 10.0, 1000),
        (1000, 10.0, 2.5, 250),
        (1000, 10.0, 0.0, 0),
        (1000, 10.0, -1.0, 0),
        (3, 2.0, 1.0, 2),  # a half goes up
        (1000, 0.0, 5.0, 1000),
    ],
)
def test_a_charge_is_paid_by_the_time_that_was_used(
    charge: int, granted: float, ran: float, expected: int
) -> None:
    assert cost(charge, granted, ran) == expected


def test_a_changed_job_is_a_new_one_and_the_old_one_stays() -> None:
    held = changed(JOB, held=True, rev=2)
    assert held == replace(JOB, held=True, rev=2)
    assert (JOB.held, JOB.rev) == (False, 1)


def test_event_ids_are_ordered_as_numbers() -> None:
    ids = ["9-0", "9-1", "9-1023", "10-0", "1700000000000-0"]
    scores = [event_score(one) for one in ids]
    assert scores == sorted(scores)
    assert event_score("9-5000") == event_score("9-1023")


@pytest.mark.parametrize(
    ("folder", "own"),
    [
        ("vg/ann", ""),
        ("vg/ann/sub", "sub"),
        ("vg/anna/x", "vg/anna/x"),
        ("vg/ann/@mia/x", "_@mia/x"),
        ("@mia", "_@mia"),
        ("vg/ann/a/@mia", "a/@mia"),
    ],
)
def test_a_user_s_folder_is_the_top_of_the_user_s_space(folder: str, own: str) -> None:
    assert own_folder("ann", folder) == own
