"""What rows of the recorder add to the counts that metrics tell: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from dashboard.metrics import counted
from dashboard.metrics.counted import Tally
from scheduler.states import FailReason, Job, Lane

Row = Mapping[str, Any]
#: what a probe says of a node; anything else would be a label of its own
_FALLBACKS: Final = frozenset({"cpu", "tiled"})
_RESULTS: Final = frozenset({"success", "failure"})
_REASONS: Final = frozenset(FailReason)
#: why an attempt ended; the last two are nobody's fault
_RETURNS: Final = _REASONS | {"preempted", "returned"}
_LANES: Final = frozenset(Lane)
OTHER: Final = "other"


def count_jobs(tally: Tally, rows: Iterable[Row]) -> None:
    """Jobs that have ended; rows of ``jobs``."""
    for row in rows:
        lane = _one_of(row["lane"], _LANES)
        reason = _one_of(row["reason"] or "", _REASONS) if row["reason"] else ""
        tally.count(counted.JOBS, row["state"], reason, lane, row["group_name"])
        tally.count(counted.OOMS, by=row["ooms"])
        if not row["started_ms"]:
            continue
        tally.observe(counted.WAIT, (row["admitted_ms"] - row["submitted_ms"]) / 1000, lane)
        tally.observe(counted.ADMISSION, (row["started_ms"] - row["admitted_ms"]) / 1000)
        tally.observe(counted.RUN, row["run_seconds"], lane)
        if row["reserved_bytes"] and row["peak_bytes"]:
            tally.count(counted.MEASURED)
            tally.count(counted.OVERRUNS, by=int(row["peak_bytes"] > row["reserved_bytes"]))


def count_costs(tally: Tally, jobs: Iterable[Job]) -> None:
    """What all attempts of ended jobs cost."""
    for job in jobs:
        tally.count(counted.GPU_SECONDS, job.group, by=job.cost)


def count_attempts(tally: Tally, rows: Iterable[Row]) -> None:
    """Attempts that have ended; rows of ``attempts``."""
    for row in rows:
        reason = _one_of(row["reason"], _RETURNS) if row["reason"] else ""
        tally.count(counted.ATTEMPTS, row["state"] or "", reason)


def count_nodes(tally: Tally, rows: Iterable[Row]) -> None:
    """Node runs; rows of ``node_runs``."""
    for row in rows:
        cached = "true" if row["cached"] else "false"
        tally.count(counted.NODES, _one_of(row["result"], _RESULTS), cached)
        if not row["cached"]:
            tally.observe(counted.NODE, row["seconds"])
        if row["fallback"]:
            tally.count(counted.FALLBACKS, _one_of(row["fallback"], _FALLBACKS))


def count_moves(tally: Tally, rows: Iterable[Row]) -> None:
    """Models that came; rows of ``model_moves``."""
    for row in rows:
        if row["what"] == "load":
            tally.observe(counted.LOADS, row["seconds"])


def count_gaps(tally: Tally, rows: Iterable[Row]) -> None:
    """Records that are gone; rows of ``gaps``."""
    for row in rows:
        tally.count(counted.LOST, by=row["lost"])


def count_gpus(tally: Tally, rows: Iterable[Row]) -> None:
    """Seconds of GPUs; rows of ``gpu_samples`` of one second each."""
    for row in rows:
        tally.count(counted.OBSERVED, row["gpu"])
        tally.count(counted.BUSY, row["gpu"], by=int(row["reserved_bytes"] > 0))
        # milliwatts for a second
        tally.count(counted.ENERGY, row["gpu"], by=row["power_mw"] or 0)


def _one_of(word: str, known: frozenset[str]) -> str:
    return word if word in known else OTHER
