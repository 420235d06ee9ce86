"""A job's life, stretch by stretch."""

from __future__ import annotations

from typing import Any

from dashboard.insight.record import Found
from dashboard.insight.story import steps, waited
from store.job_list import Waited
from tests.unit.dashboard.insight.heads import head


def row(attempt: int, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "attempt": attempt, "admitted_ms": 3000, "claimed_ms": 4000, "ended_ms": 10_000,
        "state": "SUCCEEDED", "reason": None, "worker": "w", "gpu": "g", "reserved_bytes": 5,
    }  # fmt: skip
    return fields | changes


def told(found: Found, *rows: dict[str, Any]) -> list[tuple[str, int, int, int | None]]:
    return [
        (step["what"], step["attempt"], step["from_ms"], step["until_ms"])
        for step in steps(found, rows, 20_000)
    ]


def test_a_job_waits_starts_and_runs() -> None:
    assert told(Found(head()), row(1)) == [
        ("waiting", 1, 1000, 3000), ("starting", 1, 3000, 4000), ("running", 1, 4000, 10_000),
    ]  # fmt: skip


def test_between_two_tries_it_waits_again() -> None:
    lost = row(1, ended_ms=6000, state="QUEUED", reason="lost")
    again = row(2, admitted_ms=7000, claimed_ms=7000)
    assert told(Found(head(attempts=2)), lost, again)[3:] == [
        ("waiting", 2, 6000, 7000), ("running", 2, 7000, 10_000),
    ]  # fmt: skip
    assert steps(Found(head()), [lost], 0)[2]["reason"] == "lost"


def test_what_still_runs_has_no_end() -> None:
    going = Found(head(state="RUNNING", ended_ms=0))
    assert told(going, row(1, ended_ms=None, state=None))[-1] == ("running", 1, 4000, None)


def test_what_waits_again_after_a_loss_has_no_end_either() -> None:
    queued = Found(head(state="QUEUED", ended_ms=0))
    lost = row(1, ended_ms=6000, state="QUEUED", reason="lost")
    assert told(queued, lost)[-1] == ("waiting", 2, 6000, None)
    new = Found(head(state="QUEUED", attempts=0, ended_ms=0, admitted_ms=0))
    assert told(new) == [("waiting", 1, 1000, None)]


def test_what_ended_in_the_queue_has_its_end_there() -> None:
    cancelled = head(state="CANCELLED", attempts=0, admitted_ms=0, started_ms=0)
    (only,) = steps(Found(cancelled), [], 0)
    assert (only["what"], only["until_ms"], only["state"]) == ("waiting", 10_000, "CANCELLED")


def test_a_try_that_no_row_tells_of_is_the_ledgers() -> None:
    assert told(Found(head())) == [
        ("waiting", 1, 1000, 3000), ("starting", 1, 3000, 4000), ("running", 1, 4000, 10_000),
    ]  # fmt: skip


def test_a_job_of_which_only_the_end_is_known_has_no_story() -> None:
    bare = head(submitted_ms=0, admitted_ms=0, started_ms=0, attempts=1)
    assert told(Found(bare)) == []


def test_a_blocker_that_is_another_user_is_named_to_admins_alone() -> None:
    rows = [Waited("fairness", "user:bob", 60), Waited("fairness", "user:cat", 39)]
    rows.append(Waited("cap", "", 1))
    assert waited(rows, "ann", sees_all=False) == [
        {"reason": "fairness", "blocker": "user:others", "share": 0.99},
        {"reason": "cap", "blocker": "", "share": 0.01},
    ]
    assert next(one["blocker"] for one in waited(rows, "ann", sees_all=True)) == "user:bob"
    assert waited([], "ann", sees_all=True) == []
