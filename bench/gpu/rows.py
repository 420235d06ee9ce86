"""Rows of the bench's table: made from what clients, ledger, driver and logs say."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.gpu.card import Sample
from bench.gpu.clients import Posted
from config.settings import Settings
from scheduler.profile import Profile
from scheduler.states import Job

Row = dict[str, Any]
#: runs after which a kind of workflow counts as known
_KNOWN_RUNS: Final = 3


def outcome(posted: Sequence[Posted], samples: Sequence[Sample]) -> Row:
    """What any way to run the jobs has: time, ends, waits, how busy the card was."""
    failed = [one.result for one in posted if not one.succeeded]
    ended = [one.ended_at for one in posted if one.ended_at is not None]
    began = min(one.posted_at for one in posted)
    busy = [sample.busy for sample in samples if sample.busy is not None]
    waits = [one.started_at - one.posted_at for one in posted if one.succeeded and one.started_at]
    return {
        "jobs": len(posted),
        "failed": len(failed),
        "failures": dict(Counter(failed)),
        "told_twice": sum(one.ends > 1 for one in posted),
        "makespan_s": _rounded(max(ended, default=began) - began),
        "wait_p50_s": _rounded(quantile(waits, 0.5)),
        "wait_p90_s": _rounded(quantile(waits, 0.9)),
        "gpu_busy": _rounded(statistics.fmean(busy) if busy else None),
        "peak_bytes": max((sample.used_bytes for sample in samples), default=None),
        "each": [_job(one, began) for one in posted],
    }


def booked(
    jobs: Mapping[str, Job], posted: Sequence[Posted], runs_before: Mapping[str, int]
) -> Row:
    """What only vramgate has: retries, where time went, and how right its estimates were.

    An error is |booked − measured| ÷ measured; of bytes for runs that had all they were booked
    with and nothing of earlier jobs in their peak, of seconds for runs without a load.

    Args:
        jobs: by prompt, after their ends.
        posted: what was posted.
        runs_before: of each case, before any of these was booked; from three on its errors
            count as those of a known kind.
    """
    pairs = [(one, jobs[one.prompt_id]) for one in posted if one.prompt_id in jobs]
    known = [job for _, job in pairs]
    again = [job for one, job in pairs if runs_before.get(one.case, 0) >= _KNOWN_RUNS]
    probed = [job.probed for job in known if job.probed is not None]
    return {
        "attempts": sum(job.attempt for job in known),
        "retries": sum(max(0, job.attempt - 1) for job in known),
        "ooms": sum(job.ooms for job in known),
        "losses": sum(job.losses for job in known),
        "loads": sum(one.loads for one in probed),
        "load_s": _rounded(sum(one.load_seconds for one in probed)),
        "squeezed": sum(one.squeezed for one in probed),
        "dispatch_s": _rounded(sum(_dispatch(job) for job in known)),
        "run_s": _rounded(sum(job.run_seconds for job in known)),
        "byte_error": _rounded(quantile(list(_byte_errors(again)), 0.5), 4),
        "second_error": _rounded(quantile(list(_second_errors(again)), 0.5), 4),
        "byte_error_all": _rounded(quantile(list(_byte_errors(known)), 0.5), 4),
        "second_error_all": _rounded(quantile(list(_second_errors(known)), 0.5), 4),
        "booked": [_booking(one, job) for one, job in pairs],
    }


def learned(profiles: Mapping[str, Profile]) -> list[Row]:
    """What vramgate itself says of its estimates, kind by kind."""
    return [
        {
            "about": profile.about,
            "runs": profile.count,
            "bytes": round(profile.last.bytes * profile.bytes.bound.value),
            "byte_runs": profile.accuracy.byte_runs,
            "byte_error": _finite(profile.accuracy.byte_error),
            "second_runs": profile.accuracy.second_runs,
            "second_error": _finite(profile.accuracy.second_error),
        }
        for profile in sorted(profiles.values(), key=lambda one: (one.about, -one.count))
    ]


def quantile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank quantile; None of nothing."""
    if not values:
        return None
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def safety_bytes(total_bytes: int) -> int:
    """What vramgate never promises of a GPU of which others leave so much, by its defaults."""
    rules = Settings().admission
    return max(rules.safety_min, int(rules.safety_share * total_bytes))


def append(file: Path, row: Row) -> None:
    """One more line of the results."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lines:
        lines.write(json.dumps(row) + "\n")


def read(file: Path) -> list[Row]:
    """All results so far."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]


def _job(one: Posted, began: float) -> list[Any]:
    """Case, result, and when it was started and ended, seconds after the first POST."""
    times = (one.started_at, one.ended_at)
    return [one.case, one.result, *(_rounded(at and at - began) for at in times)]


def _booking(one: Posted, job: Job) -> Row:
    """Where a job's time and memory went."""
    found: Row = {
        "case": one.case,
        "user": job.user,
        "worker": job.worker.rpartition("-")[2],
        "attempts": job.attempt,
        "admitted_s": _rounded((job.admitted_ms - job.submitted_ms) / 1000),
        "dispatch_s": _rounded(_dispatch(job)),
        "run_s": _rounded(job.run_seconds),
        "need_s": _rounded(job.need_seconds),
        "load_granted_s": _rounded(job.granted_load_seconds),
        "need": job.need_bytes,
        "reserved": job.reserved_bytes,
        "peak": job.peak_bytes,
    }
    if job.probed is not None:
        found |= {
            "needed": job.probed.needed_bytes,
            "limit": job.probed.limit_bytes,
            "left": job.probed.left_bytes,
            "loads": job.probed.loads,
            "load_s": _rounded(job.probed.load_seconds),
            "squeezed": job.probed.squeezed,
        }
    return found


def _dispatch(job: Job) -> float:
    """Seconds from its (last) admission to its start: releases, limits, the way there."""
    return max(0, job.started_ms - job.admitted_ms) / 1000


def _byte_errors(jobs: Iterable[Job]) -> Iterable[float]:
    for job in jobs:
        if job.clean and job.peak_bytes > 0 and job.reserved_bytes >= job.need_bytes:
            yield abs(job.need_bytes - job.peak_bytes) / job.peak_bytes


def _second_errors(jobs: Iterable[Job]) -> Iterable[float]:
    for job in jobs:
        if job.granted_load_seconds <= 0 and job.run_seconds > 0:
            yield abs(job.need_seconds - job.run_seconds) / job.run_seconds


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)


def _finite(value: float | None) -> float | None:
    return None if value is None or value == float("inf") else value
