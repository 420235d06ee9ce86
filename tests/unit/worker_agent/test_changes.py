from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.states import GpuState, WorkerState
from tests.factories import GIB, gpu, report, worker
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


def test_memory_that_our_workers_take_can_wait_and_that_of_others_cannot() -> None:
    before = report(workers=[worker()], gpus=[gpu()])
    taken = report(workers=[worker(used_bytes=GIB)], gpus=[gpu()])
    others = report(workers=[worker()], gpus=[gpu(foreign_bytes=GIB)])
    assert differs(before, taken)
    assert not differs(before, taken, moved=False)
    assert differs(before, others, moved=False)


def test_the_end_of_a_load_is_news() -> None:
    before = report(workers=[worker()], gpus=[gpu()])
    assert differs(before, report(workers=[worker(loaded="job")], gpus=[gpu()]), moved=False)


def test_what_is_done_to_a_worker_is_news() -> None:
    before = report(workers=[worker()], gpus=[gpu()])
    assert differs(before, report(workers=[worker(detail="draining")], gpus=[gpu()]))
