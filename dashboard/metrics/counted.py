"""Counts of what has happened: their names, and how the recorder makes them.

A count is kept in the store as whole numbers (``store.tallies``): things, milliseconds,
millijoules. So all gateways tell the same, and a restart resets nothing. Labels are bounded:
never a user, a workflow, a node class or any text that somebody typed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from store.tallies import Key

#: label value of a histogram's sum, beside those of its bounds
SUM: Final = "sum"
INFINITE: Final = "+Inf"


@dataclass(frozen=True, slots=True)
class Counted:
    """A counter."""

    #: without ``vramgate_`` and ``_total``
    name: str
    help: str
    labels: tuple[str, ...] = ()
    #: the metric's units in one of what is kept
    unit: float = 1.0


@dataclass(frozen=True, slots=True)
class Spread:
    """A histogram of seconds."""

    #: without ``vramgate_``
    name: str
    help: str
    labels: tuple[str, ...]
    #: seconds, ascending
    bounds: tuple[float, ...]

    def bound_for(self, seconds: float) -> str:
        """The least bound that is not below; as label values have it."""
        place = bisect_left(self.bounds, seconds)
        return f"{self.bounds[place]:g}" if place < len(self.bounds) else INFINITE


_WAITS: Final = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
_RUNS: Final = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)
_SHORT: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_NODES: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 60, 300)
_LOADS: Final = (0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300)

JOBS: Final = Counted("jobs_ended", "Jobs that have ended.", ("state", "reason", "lane", "group"))
ATTEMPTS: Final = Counted(
    "job_attempts",
    "Tries at running a job that have ended, by the job's state after them (QUEUED: to run again).",
    ("state", "reason"),
)
WAIT: Final = Spread(
    "job_wait_seconds",
    "From posting a prompt until its last attempt was given a worker.",
    ("lane",),
    _WAITS,
)
RUN: Final = Spread(
    "job_run_seconds", "What a job's last attempt took on its worker.", ("lane",), _RUNS
)
ADMISSION: Final = Spread(
    "job_admission_seconds",
    "From giving a job a worker until its agent has taken it.",
    (),
    _SHORT,
)
GPU_SECONDS: Final = Counted(
    "job_gpu_seconds",
    "What ended jobs cost: share of the GPU that was reserved times seconds, without weights.",
    ("group",),
    1e-6,
)
OOMS: Final = Counted("job_out_of_memory", "Attempts that ran out of device memory.")
OVERRUNS: Final = Counted(
    "jobs_over_reservation", "Jobs that used more device memory than was reserved for them."
)
MEASURED: Final = Counted(
    "jobs_measured", "Jobs with a reservation whose peak of device memory was measured."
)
NODES: Final = Counted("node_runs", "Node runs that probes told of.", ("result", "cached"))
NODE: Final = Spread("node_run_seconds", "What nodes took whose result was not cached.", (), _NODES)
FALLBACKS: Final = Counted(
    "node_fallbacks", "Node runs that fell back for want of memory.", ("kind",)
)
LOADS: Final = Spread("model_load_seconds", "What loading a model took.", (), _LOADS)
LOST: Final = Counted("probe_records_lost", "Records that probes dropped for want of room.")
ENERGY: Final = Counted(
    "gpu_energy_joules", "What the GPU has drawn, from a reading each second.", ("gpu",), 1e-3
)
BUSY: Final = Counted("gpu_busy_seconds", "Seconds with a job on the GPU.", ("gpu",))
OBSERVED: Final = Counted("gpu_observed_seconds", "Seconds of which there is a reading.", ("gpu",))
SENT: Final = Counted("sink_points_sent", "Points and spans that a sink has taken.", ("sink",))
UNSENT: Final = Counted(
    "sink_points_lost", "Points and spans dropped, because a sink did not take them.", ("sink",)
)

COUNTED: Final = (
    JOBS, ATTEMPTS, GPU_SECONDS, OOMS, OVERRUNS, MEASURED, NODES, FALLBACKS, LOST, ENERGY, BUSY,
    OBSERVED, SENT, UNSENT,
)  # fmt: skip
SPREADS: Final = (WAIT, RUN, ADMISSION, NODE, LOADS)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts in the making, for ``store.tallies.add``."""

    counts: Counter[Key] = field(default_factory=Counter)

    def count(self, what: Counted, *labels: str, by: int = 1) -> None:
        """Count so many; of ``what.unit`` each."""
        self.counts[what.name, labels] += by

    def observe(self, what: Spread, seconds: float, *labels: str) -> None:
        """Count one of so many seconds."""
        self.counts[what.name, (*labels, what.bound_for(seconds))] += 1
        self.counts[what.name, (*labels, SUM)] += round(seconds * 1000)
