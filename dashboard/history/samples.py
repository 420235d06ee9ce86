"""A moment of the pool as rows, and several of them as one of a longer step: pure functions."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from scheduler.states import Gpu, Job, Snapshot, Worker

Row = dict[str, Any]


def gpu_rows(snapshot: Snapshot, at_ms: int, silent_ms: int) -> list[Row]:
    """One row for each GPU whose agent has reported within ``silent_ms``; the others have a gap."""
    users = {job.id: job.user for job in snapshot.active.values()}
    on: dict[str, list[Worker]] = defaultdict(list)
    for worker in snapshot.workers:
        on[worker.gpu].append(worker)
    return [
        _gpu_row(gpu, on[gpu.id], users, at_ms)
        for gpu in snapshot.gpus
        if snapshot.now_ms - gpu.heartbeat_ms <= silent_ms
    ]


def _gpu_row(gpu: Gpu, workers: Sequence[Worker], users: Mapping[str, str], at_ms: int) -> Row:
    resident = sum(worker.used_bytes for worker in workers if not worker.job)
    reserved = sum(worker.hold_bytes for worker in workers if worker.job)
    # promises and use may add up to more than there is
    free = max(0, gpu.total_bytes - gpu.foreign_bytes - resident - reserved)
    holders = [
        (
            worker.id,
            users.get(worker.job, ""),
            worker.hold_bytes if worker.job else worker.used_bytes,
        )
        for worker in workers
    ]
    return {
        "step_s": 1,
        "gpu": gpu.id,
        "at_ms": at_ms,
        "total_bytes": gpu.total_bytes,
        "foreign_bytes": gpu.foreign_bytes,
        "resident_bytes": resident,
        "reserved_bytes": reserved,
        "free_bytes": free,
        "least_free_bytes": free,
        "utilisation": gpu.vitals.utilisation,
        "temperature": gpu.vitals.temperature_c,
        "power_mw": gpu.vitals.power_mw,
        "readings": 1,
        "holders": _json([one for one in holders if one[2]]),
    }


def pool_row(snapshot: Snapshot, at_ms: int) -> Row:
    """How much waits and runs."""
    queued = sum(backlog.queued for backlog in snapshot.backlogs)
    running = len(snapshot.active)
    since = [job.submitted_ms for backlog in snapshot.backlogs for job in backlog.jobs]
    return {
        "step_s": 1,
        "at_ms": at_ms,
        "queued": float(queued),
        "running": float(running),
        "waiting_users": float(sum(backlog.queued > 0 for backlog in snapshot.backlogs)),
        "most_queued": queued,
        "most_running": running,
        "longest_wait_ms": max(0, snapshot.now_ms - min(since, default=snapshot.now_ms)),
        "readings": 1,
    }


def wait_rows(snapshot: Snapshot, at_ms: int, step_s: int) -> list[Row]:
    """What keeps whose jobs waiting at this moment, each job for the whole step.

    Jobs beyond the snapshot's window have no reason of their own: they wait behind their
    user's.
    """
    users = {job.id: job.user for job in snapshot.active.values()}
    users |= {job.id: job.user for backlog in snapshot.backlogs for job in backlog.jobs}
    named = {worker.id for worker in snapshot.workers}
    sums: dict[tuple[str, str, str], int] = defaultdict(int)
    for backlog in snapshot.backlogs:
        for job in backlog.jobs:
            reason = job.wait_reason.value if job.wait_reason else ""
            sums[backlog.user, reason, _blocker(job, users, named)] += 1
        beyond = backlog.queued - len(backlog.jobs)
        if beyond > 0:
            sums[backlog.user, "behind_own", f"user:{backlog.user}"] += beyond
    return [
        {
            "step_s": step_s,
            "at_ms": at_ms,
            "user_name": user,
            "reason": reason,
            "blocker": blocker,
            "job_ms": count * step_s * 1000,
        }
        for (user, reason, blocker), count in sums.items()
    ]


def _blocker(job: Job, users: Mapping[str, str], workers: set[str]) -> str:
    if not job.wait_blocker:
        return ""
    if job.wait_blocker in users:
        return f"user:{users[job.wait_blocker]}"
    kind = "worker" if job.wait_blocker in workers else "gpu"
    return f"{kind}:{job.wait_blocker}"


# ── longer steps ─────────────────────────────────────────────────────────────


def fold_gpus(rows: Iterable[Mapping[str, Any]], step_s: int) -> list[Row]:
    """Rows of shorter steps as rows of this one; a time without any has none."""
    return [
        _fold_gpu(some, step_s, gpu, at_ms)
        for (gpu, at_ms), some in _grouped(rows, step_s, lambda row: row["gpu"]).items()
    ]


def fold_pool(rows: Iterable[Mapping[str, Any]], step_s: int) -> list[Row]:
    """The same of the pool's rows."""
    return [
        {
            "step_s": step_s,
            "at_ms": at_ms,
            **{name: _mean(some, name) for name in ("queued", "running", "waiting_users")},
            **{
                name: max(row[name] for row in some)
                for name in ("most_queued", "most_running", "longest_wait_ms")
            },
            "readings": sum(row["readings"] for row in some),
        }
        for (_, at_ms), some in _grouped(rows, step_s, lambda _: "").items()
    ]


def fold_waits(rows: Iterable[Mapping[str, Any]], step_s: int) -> list[Row]:
    """The same of waits, which add up."""
    sums: dict[tuple[int, str, str, str], int] = defaultdict(int)
    for row in rows:
        at_ms = row["at_ms"] - row["at_ms"] % (step_s * 1000)
        sums[at_ms, row["user_name"], row["reason"], row["blocker"]] += row["job_ms"]
    return [
        {
            "step_s": step_s,
            "at_ms": at_ms,
            "user_name": user,
            "reason": reason,
            "blocker": blocker,
            "job_ms": job_ms,
        }
        for (at_ms, user, reason, blocker), job_ms in sums.items()
    ]


def _fold_gpu(some: Sequence[Mapping[str, Any]], step_s: int, gpu: str, at_ms: int) -> Row:
    means = ("foreign_bytes", "resident_bytes", "reserved_bytes", "free_bytes")
    readings = sum(row["readings"] for row in some)
    return {
        "step_s": step_s,
        "gpu": gpu,
        "at_ms": at_ms,
        "total_bytes": some[-1]["total_bytes"],
        **{name: round(_mean(some, name)) for name in means},
        "least_free_bytes": min(row["least_free_bytes"] for row in some),
        "utilisation": _told_mean(some, "utilisation"),
        "temperature": max(
            (row["temperature"] for row in some if row["temperature"] is not None), default=None
        ),
        "power_mw": None if (power := _told_mean(some, "power_mw")) is None else round(power),
        "readings": readings,
        "holders": _fold_holders(some, readings),
    }


def _fold_holders(some: Sequence[Mapping[str, Any]], readings: int) -> str:
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for row in some:
        for worker, user, bytes_ in json.loads(row["holders"]):
            sums[worker, user] += bytes_ * row["readings"]
    return _json([(*key, held // readings) for key, held in sorted(sums.items())])


def _grouped(
    rows: Iterable[Mapping[str, Any]], step_s: int, name: Callable[[Mapping[str, Any]], str]
) -> dict[tuple[str, int], list[Mapping[str, Any]]]:
    groups: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[name(row), row["at_ms"] - row["at_ms"] % (step_s * 1000)].append(row)
    return groups


def _mean(some: Sequence[Mapping[str, Any]], name: str) -> float:
    readings = sum(row["readings"] for row in some)
    return float(sum(row[name] * row["readings"] for row in some) / readings)


def _told_mean(some: Sequence[Mapping[str, Any]], name: str) -> float | None:
    told = [row for row in some if row[name] is not None]
    return _mean(told, name) if told else None


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
