from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.states import Job
from tests.pools import GIB, job
from worker_agent.frames import Binary, Message, Progress
from worker_agent.load import load_of

CLASSES = {"3": "KSampler", "4": "DownloadModel"}


def cold(**changes: Any) -> Job:
    told = {"granted_load_seconds": 4.0, "reserved_bytes": 8 * GIB} | changes
    return replace(job("j", models=("m",), model_bytes=(6 * GIB,)), **told)


def step(value: float | None, node: str | None = "3") -> Progress:
    return Progress("progress", "p", node, value, "{}")


def test_the_first_step_of_a_sampler_ends_a_load_once() -> None:
    load = load_of(cold(), CLASSES)
    assert load.told(0) == ""
    assert load.ends_with(step(1))
    assert not load.ends_with(step(2))
    assert load.told(0) == "j"


@pytest.mark.parametrize(
    "frame",
    [
        step(0),
        step(5, "4"),
        step(None),
        step(None, None),
        Message("executing", {"node": "3"}),
        Binary(1, b""),
    ],
)
def test_nothing_else_that_a_worker_says_does(frame: Any) -> None:
    load = load_of(cold(), CLASSES)
    assert not load.ends_with(frame)
    assert load.told(0) == ""


def test_a_process_that_holds_the_models_has_loaded_them() -> None:
    load = load_of(cold(), CLASSES)
    assert load.told(5 * GIB) == ""
    assert load.told(7 * GIB) == "j"
    # what is given back later changes nothing
    assert load.told(0) == "j"


def test_nothing_is_told_of_a_job_that_nobody_waits_for() -> None:
    load = load_of(cold(granted_load_seconds=0.0), CLASSES)
    assert not load.ends_with(step(1))
    assert load.told(7 * GIB) == ""
