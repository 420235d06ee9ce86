"""Interrupting a batch job: only where an admin allows it, and only where it helps."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.decisions import Decision, Preempt
from scheduler.plan_config import Preemption
from scheduler.policy import plan
from scheduler.states import Lane
from tests.pools import config, gpu, job, running, snapshot, worker

NOW = 1_000_000


def decide(victim: dict[str, Any] | None = None, **rules: Any) -> list[Decision]:
    """One busy worker whose job has just begun; an interactive job waits."""
    values = {"lane": Lane.BATCH, "seconds": 100.0, "began": NOW - 5_000}
    busy = running("victim", reserved_bytes=6 * 2**30, **{**values, **(victim or {})})
    pool = snapshot(
        [gpu(used=6)],
        [worker("w0", used=6, reserved=6, job="victim")],
        [job("now", "ann", lane=rules.pop("lane", Lane.INTERACTIVE))],
        active=[busy],
        now_ms=NOW,
    )
    rules.setdefault("preemption", Preemption())
    return [d for d in plan(pool, NOW, config(**rules)).decisions if isinstance(d, Preempt)]


def test_a_batch_job_that_has_just_begun_makes_room_for_an_interactive_one() -> None:
    (preempt,) = decide()
    assert isinstance(preempt, Preempt)
    assert (preempt.job.id, preempt.for_job.id) == ("victim", "now")


def test_nothing_is_interrupted_unless_an_admin_allows_it() -> None:
    assert decide(preemption=None) == []


@pytest.mark.parametrize(
    "victim",
    [
        {"lane": Lane.INTERACTIVE},
        {"began": NOW - 40_000},
        {"preemptions": 1},
        {"preempting": True},
    ],
)
def test_what_must_not_be_interrupted_is_not(victim: dict[str, Any]) -> None:
    assert decide(victim) == []


def test_nothing_is_interrupted_for_a_batch_job() -> None:
    assert decide(lane=Lane.BATCH) == []


def test_a_pool_that_has_wasted_enough_interrupts_nothing() -> None:
    assert decide(wasted_share=0.02) == []
    assert decide(wasted_share=0.019) != []
