"""Early warnings: what grows is noticed in time, what only moves is not."""

from __future__ import annotations

import random
from typing import Any

import pytest

from config.alert_rules import BUILT_IN
from dashboard.alerts.ahead_looks import headroom_soon, wait_soon
from dashboard.alerts.kinds import is_over
from dashboard.alerts.scene import Scene
from dashboard.alerts.trend import trend
from scheduler.memory_books import Books
from scheduler.memory_ledger import MemoryLedger
from scheduler.states import Backlog, Job, Snapshot, WaitReason
from store.sights import EndedJob
from tests.factories import GIB, gpu, new_job, worker

MINUTE = 60_000
NOW = 100_000_000


def points(values: list[float]) -> list[tuple[int, float]]:
    return [(NOW + (n - len(values)) * MINUTE, value) for n, value in enumerate(values)]


def test_a_steady_growth_with_noise_and_wild_points_is_found() -> None:
    wild = random.Random(1)
    values = [0.01 * n + wild.uniform(-0.005, 0.005) for n in range(30)]
    values[7] = 0.9
    found = trend(points(values))
    assert found is not None
    assert found.grows
    assert found.slope * MINUTE == pytest.approx(0.01, rel=0.1)
    assert found.after(10 * MINUTE) == pytest.approx(0.39, abs=0.02)


@pytest.mark.parametrize(
    "values",
    [
        [0.3] * 30,
        [0.3 if n % 2 else 0.6 for n in range(30)],
        [0.2 if n < 15 else 0.6 for n in range(30)],
        [0.2 if n < 10 else 0.4 if n < 20 else 0.6 for n in range(30)],
        [0.9 - 0.01 * n for n in range(30)],
        [random.Random(n).random() for n in range(30)],
    ],
    ids=["flat", "square wave", "step", "two steps", "falling", "noise"],
)
def test_what_comes_and_goes_does_not_grow(values: list[float]) -> None:
    found = trend(points(values))
    assert found is not None
    assert not found.grows


def test_few_points_and_points_of_one_moment_say_nothing() -> None:
    assert trend(points([0.1 * n for n in range(11)])) is None
    assert trend([(NOW, float(n)) for n in range(20)]) is None


def scene(**changes: Any) -> Scene:
    snapshot = changes.pop("snapshot", None) or Snapshot(
        now_ms=NOW, gpus=(), workers=(), backlogs=()
    )
    return Scene(now_ms=NOW, snapshot=snapshot, silent_ms=10_000, **changes)


def card(foreign_gib: float, held_gib: float = 0.0) -> Snapshot:
    one = gpu(foreign_bytes=int(foreign_gib * GIB), heartbeat_ms=NOW)
    busy = worker(job="j", reserved_bytes=int(held_gib * GIB), heartbeat_ms=NOW)
    return Snapshot(now_ms=NOW, gpus=(one,), workers=(busy,), backlogs=())


RULE = BUILT_IN["headroom_soon"]


def fires(rule: Any, looked: Any) -> bool:
    return any(is_over(rule, one.value, one.limit or rule.limit) for one in looked)


def test_another_program_that_takes_more_and_more_is_told_before_there_is_no_room() -> None:
    growing = [(6 + 0.2 * n) / 24 for n in range(30)]
    (found,) = headroom_soon(RULE, scene(snapshot=card(12, 8), foreign={"gpu-0": points(growing)}))
    assert is_over(RULE, found.value or 0, RULE.limit)
    # 4 of 24 GiB are free, 0.2 more are taken each minute: under 2 % in about 17 minutes
    assert found.detail["minutes"] == pytest.approx(17.6, abs=1)


def test_a_card_that_is_full_of_promises_and_of_others_memory_that_stays_is_no_warning() -> None:
    steady = points([0.25] * 30)
    full = scene(snapshot=card(6, 17.2), foreign={"gpu-0": steady})
    assert not fires(RULE, headroom_soon(RULE, full))
    unknown = scene(snapshot=card(6, 17.2))
    assert not fires(RULE, headroom_soon(RULE, unknown))
    tiny = points([0.25 + 0.0002 * n for n in range(30)])
    assert not fires(
        RULE, headroom_soon(RULE, scene(snapshot=card(6, 17), foreign={"gpu-0": tiny}))
    )


async def queued(start_in_min: float, **changes: Any) -> Snapshot:
    ledger = MemoryLedger(Books(lambda: NOW, str))
    await ledger.submit(new_job("ann", id="j"), b"{}", max_queued=None)
    (log,) = (await ledger.snapshot(10)).backlogs
    job: Job = _with(log.jobs[0], start_p50_ms=NOW + int(start_in_min * MINUTE), **changes)
    backlog: Backlog = _with(log, jobs=(job,))
    return Snapshot(now_ms=NOW, gpus=(), workers=(), backlogs=(backlog,))


def _with(value: Any, **changes: Any) -> Any:
    from dataclasses import replace

    return replace(value, **changes)


WAIT = BUILT_IN["wait_soon"]


async def test_a_forecast_beyond_the_limit_is_told_and_one_below_is_not() -> None:
    late = list(wait_soon(WAIT, scene(snapshot=await queued(25))))
    assert fires(WAIT, late)
    assert (late[0].user, late[0].detail["minutes"]) == ("ann", 10.0)
    assert not fires(WAIT, wait_soon(WAIT, scene(snapshot=await queued(5))))


async def test_what_waits_for_its_own_user_or_lies_beyond_the_horizon_is_no_warning() -> None:
    held = await queued(25, wait_reason=WaitReason.CAP)
    assert not fires(WAIT, wait_soon(WAIT, scene(snapshot=held)))
    near = scene(snapshot=await queued(25), horizon_ms=5 * MINUTE)
    assert not fires(WAIT, wait_soon(WAIT, near))


def ended(count: int) -> list[EndedJob]:
    return [
        EndedJob(
            id=f"e{n}", prompt_id="p", user="ann", group="g", state="SUCCEEDED", reason=None,
            worker="w", gpu="g", ended_ms=NOW - n * 1000, need_bytes=1, reserved_bytes=1,
            peak_bytes=1, ooms=0,
        )
        for n in range(count)
    ]  # fmt: skip


def test_a_queue_that_grows_is_told_before_anybody_waits_so_long() -> None:
    growing = points([float(2 * n) for n in range(30)])
    assert fires(WAIT, wait_soon(WAIT, scene(queue=growing, ended=ended(60))))
    # at a pace at which it is worked off soon it is none
    assert not fires(
        WAIT, wait_soon(WAIT, scene(queue=points([n / 4 for n in range(30)]), ended=ended(400)))
    )
    rush = points([40.0 if n % 3 else 2.0 for n in range(30)])
    assert not fires(WAIT, wait_soon(WAIT, scene(queue=rush, ended=ended(60))))
