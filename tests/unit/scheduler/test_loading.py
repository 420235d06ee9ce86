from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.loading import loaded_bytes
from scheduler.states import Job
from tests.pools import GIB, job


def promised(gib: int, sizes: tuple[int, ...]) -> Job:
    return replace(job("j", models=("m",), model_bytes=sizes), reserved_bytes=gib * GIB)


def test_a_load_is_over_with_nine_tenths_of_the_files_beside_a_small_context() -> None:
    assert loaded_bytes(promised(12, (10 * GIB,))) == 9 * GIB + (640 << 20)


def test_nobody_waits_for_more_than_the_job_was_promised() -> None:
    assert loaded_bytes(promised(4, (10 * GIB,))) == 4 * GIB


@pytest.mark.parametrize("sizes", [(), (0,)])
def test_of_files_that_nobody_knows_nothing_is_said(sizes: tuple[int, ...]) -> None:
    assert loaded_bytes(promised(4, sizes)) == 0
