"""What was measured of single jobs on one GPU, and the mix of 36 of them (``h200.json``)."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scheduler.states import Step

_RECORDING: Final = Path(__file__).with_name("h200.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A checkpoint file."""

    #: as jobs and workers name it
    name: str
    bytes: int
    #: keys of the file: each is copied to the GPU on its own
    tensors: int
    #: how much longer jobs took whose process had to load it: what an estimator would learn
    cold_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One workflow, alone on the GPU."""

    name: str
    model: Model
    #: with its model loaded
    run_seconds: float
    #: device footprint where there is room
    need_bytes: int
    #: what the measured admission by peaks took for its need
    believed_bytes: int
    #: what it takes and how long it runs when told less, fewest bytes first
    curve: tuple[Step, ...]
    #: slowdown of each of so many busy workers; 1.0 for one
    slowdowns: Mapping[int, float]

    def slowdown(self, busy: int) -> float:
        """How much longer it runs where so many workers are busy, it included.

        Straight lines between what was measured (1, 2, 4, 8 workers), the last one goes on.
        """
        known = sorted(self.slowdowns)
        upper = next((n for n in known if n >= busy), known[-1])
        lower = max((n for n in known if n < upper), default=upper)
        if upper == lower:
            return self.slowdowns[upper]
        share = (busy - lower) / (upper - lower)
        low, high = self.slowdowns[lower], self.slowdowns[upper]
        return low + share * (high - low)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run of the whole mix on the GPU."""

    policy: str
    workers: int
    gpu_bytes: int
    makespan_seconds: float
    failed: int
    #: case and seconds of each job, as they ended
    jobs: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The recording."""

    context_bytes: int
    cases: Mapping[str, Case]
    #: the mix: names of cases in the order in which they were posted
    order: Sequence[str]
    measured: Sequence[Measured]

    def mix(self, times: int = 1) -> list[Case]:
        """The jobs of the mix, so many times through."""
        return [self.cases[name] for name in self.order] * times


def load_facts(file: Path = _RECORDING) -> Facts:
    """Read a recording.

    Raises:
        OSError: no such file.
        KeyError: something is missing in it.
    """
    raw = json.loads(file.read_text())
    models = {
        name: Model(name=f"checkpoints/{name}.safetensors", **model)
        for name, model in raw["models"].items()
    }
    context = int(raw["context_bytes"])
    return Facts(
        context_bytes=context,
        cases={name: _case(name, raw, models, context) for name in raw["cases"]},
        order=raw["order"],
        measured=[_measured(run) for run in raw["measured"]],
    )


def _measured(run: Mapping[str, Any]) -> Measured:
    return Measured(
        policy=run["policy"],
        workers=run["workers"],
        gpu_bytes=int(run["gpu_gib"] * 2**30),
        makespan_seconds=run["makespan_seconds"],
        failed=run["failed"],
        jobs=[(name, seconds) for name, seconds in run["jobs"]],
    )


def _case(name: str, raw: Mapping[str, Any], models: Mapping[str, Model], context: int) -> Case:
    row = raw["cases"][name]
    need = row["reserved_bytes"] + context
    rates = {int(n): rate for n, rate in raw["jobs_per_second"][row["speed_like"]].items()}
    return Case(
        name=name,
        model=models[row["model"]],
        run_seconds=row["run_seconds"],
        need_bytes=need,
        believed_bytes=int(row["believed_gib"] * 2**30),
        curve=_curve(row.get("limits_like"), raw["limits"], row["run_seconds"], need, context),
        slowdowns={n: n * rates[1] / rate for n, rate in rates.items()},
    )


def _curve(
    like: str | None, limits: Sequence[Mapping[str, Any]], run: float, need: int, context: int
) -> tuple[Step, ...]:
    """The measured times of ``like`` under a limit it was told, as multiples of its own.

    Steps that take as much as the case does in comfort, or more, are left out.
    """
    rows = [row for row in limits if row["case"] == like]
    seconds = {row["limit_gib"]: statistics.fmean(row["seconds"]) for row in rows}
    steps = [
        Step(int(row["reserved_gib"] * 2**30) + context, run * seconds[limit] / seconds[None])
        for row in rows
        if (limit := row["limit_gib"]) is not None
    ]
    return tuple(sorted((s for s in steps if s.bytes < need), key=lambda step: step.bytes))
