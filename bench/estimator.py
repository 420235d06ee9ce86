"""How well a job's need is known: before its first run, and after a few of its own.

Cold: each case is predicted with only the other cases' runs known. Learned: after
its own first runs too. A prediction is the bound that admission reserves,
what is true is the largest of a case's runs that had the whole card; runs that were
told a limit teach the curve only. Seconds: of the run with its models loaded, and of loading.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.measured import Measured, MeasuredRun, read_runs
from scheduler.estimate import CONTEXT_BYTES, Estimate, estimate
from scheduler.lesson import lesson
from scheduler.profile import Profile
from scheduler.states import Job, JobState, Lane
from scheduler.workflow.features import Features, features

_GIB: Final = 2**30
_MINUTE_MS: Final = 60_000


class Workflows:
    """The workflows of a file, each graph read once."""

    def __init__(self, measured: Measured) -> None:
        self.runs = measured.runs
        self._sizes = measured.sizes
        self._kinds: dict[tuple[object, ...], Workflow] = {}

    def of(self, run: MeasuredRun) -> Workflow:
        """The workflow of a run's graph."""
        key = (run.checkpoint, run.width, run.height, run.batch, run.steps)
        if key not in self._kinds:
            kind = features(run.graph(), sizes=self._sizes)
            self._kinds[key] = Workflow(kind, kind.fingerprint, kind.parents)
        return self._kinds[key]


@dataclass(frozen=True, slots=True)
class Workflow:
    """What is known of a graph before it runs."""

    kind: Features
    fingerprint: str
    parents: tuple[str, ...]


class Memory:
    """What was learned, in the ledger's place; the same lessons as in production."""

    def __init__(self, workflows: Workflows) -> None:
        self._workflows = workflows
        self._profiles: dict[str, Profile | None] = {}
        self._now_ms = 0

    def estimate(self, run: MeasuredRun) -> Estimate:
        """What a job of this run's graph would be booked with now."""
        flow = self._workflows.of(run)
        names = (flow.fingerprint, *flow.parents)
        return estimate(flow.kind, [self._profiles.get(name) for name in names])

    def learn(self, run: MeasuredRun) -> None:
        """Book the run as a job, let it end as it was measured, and learn from that."""
        self._now_ms += _MINUTE_MS
        job = _job(run, self._workflows.of(run), self.estimate(run))
        self._profiles |= lesson(job, self._profiles, self._now_ms)


def _job(run: MeasuredRun, flow: Workflow, booked: Estimate) -> Job:
    limit = booked.bytes if run.limit_bytes is None else run.limit_bytes + CONTEXT_BYTES
    return Job(
        id=run.case,
        user="bench",
        group="bench",
        prompt_id=run.case,
        client_id=None,
        state=JobState.SUCCEEDED,
        rev=4,
        attempt=1,
        number=1,
        lane=Lane.BATCH,
        fingerprint=flow.fingerprint,
        models=flow.kind.models,
        parents=flow.parents,
        need_bytes=booked.bytes,
        need_seconds=booked.seconds,
        late_seconds=booked.late_seconds,
        load_seconds=booked.load_seconds,
        granted_load_seconds=booked.load_seconds if run.cold else 0.0,
        needs_gpu=flow.kind.needs_gpu,
        inputs=(),
        submitted_ms=0,
        reserved_bytes=min(limit, booked.bytes),
        peak_bytes=run.peak_bytes,
        run_seconds=run.seconds,
        # a torch counter of this run alone, whatever its worker held before
        clean=True,
        guess=booked.guess,
    )


@dataclass(frozen=True, slots=True)
class Truth:
    """What a case's runs with the whole card came to."""

    peak_bytes: int
    #: median with models loaded; None: no such run
    seconds: float | None
    #: median of the others less that; None: not both kinds
    load_seconds: float | None


def truth_of(runs: Sequence[MeasuredRun]) -> Truth:
    """What a prediction for these runs of one case should have been."""
    warm = [run.seconds for run in runs if not run.cold]
    cold = [run.seconds for run in runs if run.cold]
    seconds = statistics.median(warm) if warm else None
    load = statistics.median(cold) - seconds if cold and seconds is not None else None
    return Truth(max(run.peak_bytes for run in runs), seconds, load)


def predict(workflows: Workflows, case: str, own_runs: int) -> Estimate:
    """The estimate of a case after all runs of the others and so many of its own."""
    memory = Memory(workflows)
    own = [run for run in workflows.runs if run.case == case and run.limit_bytes is None]
    for run in workflows.runs:
        if run.case != case:
            memory.learn(run)
    for run in own[:own_runs]:
        memory.learn(run)
    return memory.estimate(own[0])


def report(measured: Measured, runs: int) -> dict[str, Any]:
    """All figures, as ``--json`` prints them."""
    free = [run for run in measured.runs if run.limit_bytes is None]
    cases = list(dict.fromkeys(run.case for run in free))
    truths = {case: truth_of([run for run in free if run.case == case]) for case in cases}
    workflows = Workflows(measured)
    return {
        "cases": len(cases),
        "runs": len(free),
        "limited_runs": len(measured.runs) - len(free),
        "learned_runs": runs,
        "cold": _summary(workflows, truths, 0),
        "learned": _summary(workflows, truths, runs),
    }


def _summary(workflows: Workflows, truths: dict[str, Truth], own_runs: int) -> dict[str, Any]:
    found = {case: predict(workflows, case, own_runs) for case in truths}
    rows = [_row(case, found[case], true) for case, true in truths.items()]
    errors = [row["error"] for row in rows]
    return {
        "median_error": _rounded(statistics.median(errors)),
        "p95_error": _rounded(_p95(errors)),
        "under_rate": _rounded(sum(row["slack"] < 0 for row in rows) / len(rows)),
        "slack": _rounded(statistics.mean(row["slack"] for row in rows)),
        "run_seconds": _times(rows, "seconds") | {"covered": _covered(rows)},
        "load_seconds": _times(rows, "load_seconds"),
        "cases": rows,
    }


def _row(case: str, found: Estimate, true: Truth) -> dict[str, Any]:
    slack = found.bytes / true.peak_bytes - 1
    return {
        "case": case,
        "predicted_bytes": found.bytes,
        "actual_bytes": true.peak_bytes,
        "error": _rounded(abs(slack)),
        "slack": _rounded(slack),
        "predicted_seconds": found.seconds,
        "late_seconds": found.late_seconds,
        "actual_seconds": true.seconds,
        "predicted_load_seconds": found.load_seconds,
        "actual_load_seconds": true.load_seconds and round(true.load_seconds, 3),
        "steps": [{"bytes": step.bytes, "seconds": step.seconds} for step in found.curve],
    }


def _times(rows: Sequence[dict[str, Any]], what: str) -> dict[str, Any]:
    pairs = [(row[f"predicted_{what}"], row[f"actual_{what}"]) for row in rows]
    errors = [abs(said - true) / true for said, true in pairs if true]
    if not errors:
        return {"median_error": None, "p95_error": None}
    return {
        "median_error": _rounded(statistics.median(errors)),
        "p95_error": _rounded(_p95(errors)),
    }


def _covered(rows: Sequence[dict[str, Any]]) -> float | None:
    timed = [row for row in rows if row["actual_seconds"]]
    within = sum(row["actual_seconds"] <= row["late_seconds"] for row in timed)
    return _rounded(within / len(timed)) if timed else None


def _p95(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def _rounded(value: float) -> float:
    return round(value, 4)


def _print(found: dict[str, Any]) -> None:
    for name in ("cold", "learned"):
        part = found[name]
        print(
            f"{name}: bytes off by {part['median_error']:.1%} (median), {part['p95_error']:.1%} "
            f"(p95), under {part['under_rate']:.1%}, slack {part['slack']:.1%}; seconds of the run "
            f"{part['run_seconds']['median_error'] or 0:.0%}, of loading "
            f"{part['load_seconds']['median_error'] or 0:.0%} (medians)"
        )
        print(
            f"  {'case':26} {'booked':>9} {'needed':>9} {'off':>7}  {'run s':>13}  {'load s':>13}"
        )
        for row in part["cases"]:
            print(
                f"  {row['case']:26} {row['predicted_bytes'] / _GIB:6.2f}GiB "
                f"{row['actual_bytes'] / _GIB:6.2f}GiB {row['slack']:+7.1%}"
                f"  {row['predicted_seconds']:5.2f} ({row['actual_seconds'] or 0:5.2f})"
                f"  {row['predicted_load_seconds']:5.2f} ({row['actual_load_seconds'] or 0:5.2f})"
            )


def main() -> None:
    """Read a file of runs and print how far off the estimates are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=Path, required=True, help="file of measured runs")
    parser.add_argument("--runs", type=int, default=3, help="own runs to learn from (default 3)")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    options = parser.parse_args()
    try:
        measured = read_runs(options.profiles)
        if not any(run.limit_bytes is None for run in measured.runs):
            raise ValueError(f"{options.profiles} has no run without a limit: nothing to compare")
    except (OSError, ValueError) as error:
        sys.exit(f"bench estimator: {error}")
    found = report(measured, options.runs)
    if options.json:
        print(json.dumps(found))
    else:
        _print(found)


if __name__ == "__main__":
    main()
