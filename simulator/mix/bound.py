"""The time that no policy can beat: warm work ÷ what sharing gains, and each load once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scheduler.states import Step
from simulator.mix import physics
from simulator.mix.cases import Case


@dataclass(frozen=True, slots=True)
class Bound:
    """A floor under the makespan, and what it is made of."""

    seconds: float
    #: run time of all jobs, each alone, warm and in comfort
    warm_seconds: float
    #: the best throughput of any jobs of the mix that fit together, relative to one alone
    gain: float
    #: one process's first use and each checkpoint once, with nobody beside
    load_seconds: float


def bound(jobs: Sequence[Case], *, capacity_bytes: int, workers: int, context_bytes: int) -> Bound:
    """Sum up the least that the jobs can take.

    Args:
        jobs: the mix.
        capacity_bytes: what the GPU may promise.
        workers: processes on it; those without a job hold their context.
        context_bytes: of each.
    """
    cases = {case.name: case for case in jobs}.values()
    warm = sum(case.run_seconds for case in jobs)
    gain = max(
        _throughput(together, capacity_bytes - (workers - count) * context_bytes)
        for count in range(1, workers + 1)
        for together in itertools.combinations_with_replacement(cases, count)
    )
    models = {case.model.name: case.model for case in jobs}
    loads = sum(physics.load_seconds(model, 0) for model in models.values())
    loads += physics.FIRST_USE_SECONDS
    return Bound(warm / gain + loads, warm, gain, loads)


def _throughput(together: Sequence[Case], room_bytes: int) -> float:
    """Of cases that run at the same time, each on its best step that all fit in; 0: they do not."""
    best = 0.0
    for steps in itertools.product(*(_steps(case) for case in together)):
        if sum(step.bytes for step in steps) <= room_bytes:
            speeds = _speeds(zip(together, steps, strict=True), len(together))
            best = max(best, speeds)
    return best


def _steps(case: Case) -> tuple[Step, ...]:
    return (*case.curve, Step(case.need_bytes, case.run_seconds))


def _speeds(running: Iterable[tuple[Case, Step]], busy: int) -> float:
    return sum(case.run_seconds / step.seconds / case.slowdown(busy) for case, step in running)
