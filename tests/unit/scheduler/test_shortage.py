"""Why no worker can take a job, in words for its user."""

from __future__ import annotations

from scheduler.shortage import doubt
from scheduler.states import Gpu, GpuState, Vitals
from tests.factories import gpu


def suspect(**changes: object) -> Gpu:
    return gpu(name="RTX 4090", state=GpuState.SUSPECT, **changes)


def test_a_gpu_that_two_agents_drive_names_both() -> None:
    assert doubt(suspect(agent="b", rival="a")) == (
        "RTX 4090 is driven by two agents, a and b: one has to stop"
    )


def test_a_gpu_in_trouble_says_which() -> None:
    told = suspect(vitals=Vitals(trouble="2 uncorrected memory errors"))
    assert doubt(told) == "RTX 4090: 2 uncorrected memory errors"


def test_a_gpu_without_a_word_cannot_be_read() -> None:
    assert doubt(suspect()) == "RTX 4090: its memory cannot be read"
