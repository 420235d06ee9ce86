from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.states import GpuState, WorkerState
from tests.factories import gpu, report, worker
from worker_agent.changes import STEP_BYTES, differs

CARD = gpu()
WORKER = worker()
LAST = report(workers=[WORKER], gpus=[CARD])


@pytest.mark.parametrize(
    "now",
    [
        report(workers=[replace(WORKER, state=WorkerState.DOWN)], gpus=[CARD]),
        report(workers=[replace(WORKER, models=("m",))], gpus=[CARD]),
        report(workers=[replace(WORKER, used_bytes=STEP_BYTES + 1)], gpus=[CARD]),
        report(workers=[], gpus=[CARD]),
        report(workers=[WORKER], gpus=[]),
        report(workers=[WORKER], gpus=[replace(CARD, state=GpuState.SUSPECT)]),
        report(workers=[WORKER], gpus=[replace(CARD, foreign_bytes=STEP_BYTES + 1)]),
    ],
)
def test_what_changes_a_plan_is_told_at_once(now: object) -> None:
    assert differs(LAST, now)  # type: ignore[arg-type]


def test_small_steps_of_memory_can_wait() -> None:
    moved = replace(CARD, foreign_bytes=STEP_BYTES, used_bytes=2**30)
    assert not differs(LAST, report(workers=[replace(WORKER, used_bytes=9)], gpus=[moved]))
