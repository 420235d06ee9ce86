"""The time that no policy can beat: warm work ÷ what sharing gains, and each load once.

What fits together and how fast it runs there was measured; how long each such set should
run so that all work is done soonest is a linear program: least ``Σ t`` with ``Σ rate · t ≥
work`` for each case. It is solved by its dual (a price for each case, no set earning more
than one per second), whose simplex starts at zero prices.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from scheduler.states import Step
from simulator.mix import physics
from simulator.mix.cases import Case

_NOTHING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Bound:
    """A floor under the makespan, and what it is made of."""

    seconds: float
    #: run time of all jobs, each alone, warm and in comfort
    warm_seconds: float
    #: throughput relative to one worker, when the best sets run for as long as is best
    gain: float
    #: one process's first use and each checkpoint once, with nobody beside
    load_seconds: float


def bound(jobs: Sequence[Case], *, capacity_bytes: int, workers: int, context_bytes: int) -> Bound:
    """Sum up the least that the jobs can take.

    Args:
        jobs: the mix.
        capacity_bytes: what the GPU may promise.
        workers: processes on it at most; as few are started as is best.
        context_bytes: what one without a job holds.
    """
    counts = Counter(case.name for case in jobs)
    cases = list({case.name: case for case in jobs}.values())
    work = [counts[case.name] * case.run_seconds for case in cases]
    least = min(
        _least_seconds(work, list(_sets(cases, capacity_bytes, number, context_bytes)))
        for number in range(1, workers + 1)
    )
    models = {case.model.name: case.model for case in jobs}.values()
    loads = sum(physics.load_seconds(model, 0) for model in models)
    loads += physics.FIRST_USE_SECONDS
    return Bound(least + loads, sum(work), sum(work) / least, loads)


def _sets(
    cases: Sequence[Case], capacity_bytes: int, workers: int, context_bytes: int
) -> Iterator[list[float]]:
    """For all jobs that may run at the same time: seconds of each case's work done per second."""
    options = [(number, step) for number, case in enumerate(cases) for step in _steps(case)]
    for count in range(1, workers + 1):
        room = capacity_bytes - (workers - count) * context_bytes
        for together in itertools.combinations_with_replacement(options, count):
            if sum(step.bytes for _, step in together) <= room:
                rates = [0.0] * len(cases)
                for number, step in together:
                    case = cases[number]
                    rates[number] += case.run_seconds / step.seconds / case.slowdown(count)
                yield rates


def _steps(case: Case) -> tuple[Step, ...]:
    return (*case.curve, Step(case.need_bytes, case.run_seconds))


def _least_seconds(work: Sequence[float], sets: Sequence[Sequence[float]]) -> float:
    """Seconds until all work is done, by the dual's simplex with Bland's rule.

    One row for each set: what it earns at the prices of the cases, and 1 on the right.
    """
    rows = [[*rates, 1.0] for rates in sets]
    names = [len(work) + n for n in range(len(rows))]
    columns = list(range(len(work)))
    goal = [*(-value for value in work), 0.0]
    while any(value < -_NOTHING for value in goal[:-1]):
        column = min(
            (n for n, value in enumerate(goal[:-1]) if value < -_NOTHING), key=columns.__getitem__
        )
        limits = [
            (row[-1] / row[column], names[n], n)
            for n, row in enumerate(rows)
            if row[column] > _NOTHING
        ]
        _, _, pivot = min(limits)
        _turn(rows, goal, pivot, column)
        names[pivot], columns[column] = columns[column], names[pivot]
    return goal[-1]


def _turn(rows: list[list[float]], goal: list[float], pivot: int, column: int) -> None:
    """Exchange a row with a column."""
    row = rows[pivot]
    by = row[column]
    row[:] = [value / by for value in row]
    row[column] = 1 / by
    for other in (*rows, goal):
        if other is not row and (times := other[column]):
            other[:] = [value - times * mine for value, mine in zip(other, row, strict=True)]
            other[column] = -times / by
