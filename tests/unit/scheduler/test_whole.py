"""A job larger than every GPU waits for the largest that it may use, but for none for ever."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.decisions import Admit, Release, Reserve
from scheduler.plan_config import Limits
from scheduler.policy import plan
from scheduler.states import Gpu, GpuState, Job, MemoryLimit, Snapshot, Step, Worker, WorkerState
from scheduler.trial import Fit, places
from tests.pools import GIB, config, gpu, job, running, snapshot, worker

NOW = 1_000_000
#: a job that was submitted then has waited for longer than ``resigned_ms``
LONG_AGO = NOW - 600_000
HUGE = job("huge", need=40)
PATIENT = replace(HUGE, submitted_ms=LONG_AGO)
#: what keeps the large GPU's one worker busy
BUSY = running("x", "w1", gpu="large", seconds=20)


def pool(*waiting: Job, large: Gpu | None = None, **w1: Any) -> Snapshot:
    """A free GPU of 8 GiB beside one of 24 whose one worker is busy, if not said otherwise."""
    values = {"on": "large", "used": 2, "reserved": 2, "job": "x", **w1}
    target: Worker = worker("w1", **values)
    active = [BUSY] if target.job else []
    gpus = [gpu("small", total=8), large or gpu("large", used=2)]
    return snapshot(gpus, [worker("w0", on="small"), target], list(waiting), active=active)


def idle(**w1: Any) -> dict[str, Any]:
    return {"job": "", "reserved": 0, "used": 0, **w1}


def starts(shown: Snapshot, **rules: Any) -> dict[str, tuple[str, float]]:
    """Worker and GiB by job."""
    made = plan(shown, NOW, config(**rules))
    admits = [d for d in made.decisions if isinstance(d, Admit)]
    return {d.job.id: (d.worker.id, d.grant.bytes / GIB) for d in admits}


def test_it_waits_for_the_largest_even_if_a_smaller_one_is_free() -> None:
    assert starts(pool(HUGE)) == {}
    assert starts(pool(HUGE, **idle())) == {"huge": ("w1", 22.0)}


def test_its_place_is_kept_on_the_largest() -> None:
    made = plan(pool(HUGE), NOW, config())
    kept = [(d.job.id, d.gpu, d.at_ms) for d in made.decisions if isinstance(d, Reserve)]
    assert kept == [("huge", "large", NOW + 20_000)]


def test_others_use_the_smaller_one_meanwhile() -> None:
    small = job("small", "bob", need=6)
    assert starts(pool(HUGE, small)) == {"small": ("w0", 6.0)}


def test_its_user_hears_what_it_waits_for() -> None:
    wait = plan(pool(HUGE), NOW, config()).blocked["ann"]
    assert wait.detail == (
        "needs 40.0 GiB, more than any GPU can promise (24.0 GiB): waits for the largest, all of it"
    )


def test_only_the_largest_is_emptied_for_it() -> None:
    gpus = [gpu("small", total=8, used=4), gpu("large", used=4)]
    held = {"used": 4, "models": ("checkpoints/b",)}
    workers = [worker("w0", on="small", **held), worker("w1", on="large", **held)]
    made = plan(snapshot(gpus, workers, [HUGE]), NOW, config())
    assert [d.worker.id for d in made.decisions if isinstance(d, Release)] == ["w1"]


def test_among_equal_ones_it_takes_whichever_is_free() -> None:
    nearly = gpu("small", total=23.5)
    shown = pool(HUGE)
    shown = replace(shown, gpus=(nearly, shown.gpus[1]))
    assert starts(shown) == {"huge": ("w0", 23.5)}


def test_a_trial_says_on_which_it_would_run() -> None:
    found = {place.id: place.fit for place in places(HUGE, pool(), config())}
    assert found == {"small": Fit.NEVER, "large": Fit.ALONE}


def test_one_that_others_fill_does_not_count_for_less_until_they_have_had_time_to_leave() -> None:
    """20 of 24 GiB are other processes': 4 are less than the small GPU has, today."""
    filled = gpu("large", foreign=20)
    assert starts(pool(HUGE, large=filled, **idle())) == {}
    assert starts(pool(PATIENT, large=filled, **idle())) == {"huge": ("w0", 8.0)}


def test_what_other_processes_hold_of_the_largest_is_not_waited_for_where_it_is_still_that() -> (
    None
):
    assert starts(pool(HUGE, large=gpu("large", foreign=4), **idle())) == {"huge": ("w1", 20.0)}


@pytest.mark.parametrize(
    ("silent_ms", "taken"),
    [(11_000, {}), (600_000, {}), (600_001, {"huge": ("w0", 8.0)})],
)
@pytest.mark.parametrize("asks", [HUGE, PATIENT], ids=["fresh", "patient"])
def test_one_that_is_silent_is_waited_for_a_while(
    asks: Job, silent_ms: int, taken: dict[str, tuple[str, float]]
) -> None:
    silent = gpu("large", used=2, heartbeat_ms=NOW - silent_ms)
    assert starts(pool(asks, large=silent, heartbeat_ms=NOW - silent_ms)) == taken


@pytest.mark.parametrize(
    ("large", "w1"),
    [
        (gpu("large"), idle(state=WorkerState.DOWN)),
        (gpu("large", state=GpuState.SUSPECT), idle()),
    ],
    ids=["no worker runs", "its figures are not believed"],
)
def test_one_that_takes_nothing_holds_a_job_only_for_a_while(large: Gpu, w1: Any) -> None:
    assert starts(pool(HUGE, large=large, **w1)) == {}
    assert starts(pool(PATIENT, large=large, **w1)) == {"huge": ("w0", 8.0)}


def test_one_without_workers_is_not_waited_for() -> None:
    shown = pool(HUGE)
    alone = replace(shown, workers=shown.workers[:1], active={})
    assert starts(alone) == {"huge": ("w0", 8.0)}


def test_one_that_its_user_may_not_use_is_not_waited_for() -> None:
    rules = {"users": {"ann": Limits(workers=("w0",))}}
    assert starts(pool(HUGE), **rules) == {"huge": ("w0", 8.0)}


def test_what_fits_there_in_less_does_not_wait() -> None:
    """Kept to 6 GiB it is slow, but it is no larger than the GPU: it needs none for itself."""
    lean, shown = replace(HUGE, curve=(Step(6 * GIB, 1.2),)), pool()
    told = tuple(replace(one, limit=MemoryLimit.TOLD) for one in shown.workers)
    shown = replace(shown, workers=told, backlogs=snapshot([], [], [lean]).backlogs)
    assert starts(shown) == {"huge": ("w0", 6.0)}
