"""The curve of time over memory reproduces what runs under a limit showed."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from bench.estimator import Memory, Workflows
from bench.measured import MeasuredRun, read_runs
from scheduler.curve import Slowdown, learned
from scheduler.estimate import CONTEXT_BYTES, estimate
from scheduler.profile import Profile, add_bytes, add_seconds, add_slowdown, add_small_oom
from scheduler.states import Step

GIB = 1 << 30
LIMITED = read_runs(Path(__file__).parents[2] / "recordings" / "gpu" / "h200_limits.json")
TOLD = [run for run in LIMITED.runs if run.limit_bytes is not None and not run.cold]
FLOWS = Workflows(LIMITED)
CASES = sorted({run.case for run in LIMITED.runs})


def first(case: str) -> MeasuredRun:
    return next(run for run in LIMITED.runs if run.case == case)


def fastest(case: str, limit_gib: int) -> float:
    """The best of the runs under a limit, told or not."""
    runs = (r for r in TOLD if r.case == case and r.limit_bytes == limit_gib * GIB)
    return min(run.seconds for run in runs)


def free(case: str) -> float:
    return min(r.seconds for r in LIMITED.runs if r.case == case and r.limit_bytes is None)


@pytest.mark.parametrize("case", CASES)
def test_steps_rise_in_bytes_fall_in_seconds_and_lie_below_the_need(case: str) -> None:
    found = Memory(FLOWS).estimate(first(case))
    steps = [*found.curve, Step(found.bytes, found.seconds)]
    assert found.floor_bytes == steps[0].bytes
    for less, more in itertools.pairwise(steps):
        assert less.bytes < more.bytes
        assert less.seconds >= more.seconds


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("limit_gib", [6, 8, 12])
def test_a_limit_costs_about_what_it_cost_on_the_gpu(case: str, limit_gib: int) -> None:
    found = Memory(FLOWS).estimate(first(case))
    given = limit_gib * GIB + CONTEXT_BYTES + (256 << 20)
    steps = [*found.curve, Step(found.bytes, found.seconds)]
    reached = [step for step in steps if step.bytes <= given]
    assert reached, "the floor lies above a limit in which it ran"
    slower = reached[-1].seconds / found.seconds
    measured = fastest(case, limit_gib) / free(case)
    assert 0.6 <= slower / measured <= 1.7


def test_the_floor_is_what_ran_on_the_gpu() -> None:
    """SDXL ran in 6 GiB: 6.06 GiB reserved beside the context."""
    found = Memory(FLOWS).estimate(first("sdxl-1024-1024-4-12"))
    assert found.floor_bytes == pytest.approx(6.06 * GIB + CONTEXT_BYTES, rel=0.03)


def test_a_batch_may_pass_the_vae_in_parts() -> None:
    found = Memory(FLOWS).estimate(first("sdxl-1024-1024-4-12"))
    assert len(found.curve) >= 3
    cheap = [step for step in found.curve if step.seconds <= 1.25 * found.seconds]
    assert cheap[0].bytes <= 0.7 * found.bytes


def test_a_small_workflow_has_no_steps_that_save_nothing() -> None:
    run = replace(first("sdxl-1024-1024-1-20"), checkpoint="sd15", width=512, height=512)
    found = Memory(FLOWS).estimate(run)
    assert all(step.bytes <= 0.92 * found.bytes for step in found.curve)


def taught(profile: Profile, case: str = "sdxl-1024-1024-4-12") -> tuple[Step, ...]:
    kind = FLOWS.of(first(case)).kind
    return estimate(kind, [profile, None, None, None]).curve


def test_runs_with_less_replace_the_formulas_time_near_them() -> None:
    cold = taught(Profile())
    found = estimate(FLOWS.of(first("sdxl-1024-1024-4-12")).kind)
    share = cold[0].bytes / found.guess.bytes
    slow = taught(add_slowdown(Profile(), share, 9.0))
    assert slow[0].bytes == cold[0].bytes
    assert slow[0].seconds == pytest.approx(9.0 * found.guess.seconds, rel=0.01)
    assert slow[1:] == cold[1:]


def test_a_reservation_that_was_tried_twice_becomes_a_step() -> None:
    once = add_slowdown(Profile(), 0.33, 2.0)
    found = estimate(FLOWS.of(first("sdxl-3840-2160-1-vae")).kind)
    wanted = int(0.33 * found.guess.bytes)
    assert wanted not in [step.bytes for step in taught(once, "sdxl-3840-2160-1-vae")]
    twice = add_slowdown(once, 0.33, 2.0)
    assert wanted in [step.bytes for step in taught(twice, "sdxl-3840-2160-1-vae")]


def test_what_ran_out_of_memory_is_not_offered_again() -> None:
    cold = taught(Profile())
    found = estimate(FLOWS.of(first("sdxl-1024-1024-4-12")).kind)
    share = cold[1].bytes / found.guess.bytes
    assert taught(add_small_oom(Profile(), share + 0.001)) == cold[2:]


def test_no_step_is_faster_than_the_whole() -> None:
    profile = add_seconds(add_bytes(Profile(), 0.99, 1, 1.0), 1.0, 1, 2.0)
    for share in (0.3, 0.3, 0.5, 0.5):
        profile = add_slowdown(profile, share, 0.2)
    kind = FLOWS.of(first("sdxl-1024-1024-4-12")).kind
    found = estimate(kind, [profile, None, None, None])
    assert all(step.seconds >= found.seconds for step in found.curve)


def test_slowdowns_are_few_and_near_ones_are_one() -> None:
    seen: tuple[Slowdown, ...] = ()
    for share, ratio in ((0.5, 2.0), (0.51, 4.0)):
        seen = learned(seen, share, ratio)
    assert seen == (Slowdown(0.51, 3.0, 2),)
    for n in range(40):
        seen = learned(seen, 0.01 * 1.2**n, 1.0)
    assert len(seen) <= 8


def test_what_torch_reserves_beyond_what_is_allocated_costs_no_time() -> None:
    """SDXL 1024² allocates 8.72 GiB on an H200 and reserves 9.2 to 10.1 where it may."""
    found = Memory(FLOWS).estimate(first("sdxl-1024-1024-1-20"))
    lean = found.curve[-1]
    assert lean.seconds == found.seconds
    assert 8.72 * GIB + CONTEXT_BYTES <= lean.bytes < 0.95 * found.bytes
