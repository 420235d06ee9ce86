"""The overview as one person may see it: pure, JSON-ready.

Admins see everybody's names. Others see their own jobs and name; all else is
one count called ``others``, so that nothing tells who works on what.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from config.settings import Role
from dashboard import shapes
from dashboard.sample import EndedCounts, GpuSample, JobSample, QueueSample, Sample, WorkerSample

#: What everybody else is called to a user who is no admin.
OTHERS: Final = "others"
#: Rows of a table at most; the rest is a count.
MAX_ROWS: Final = 100
#: Minutes over which ended jobs are counted.
ENDED_MINUTES: Final = 15


def overview(sample: Sample, user: str, role: Role) -> shapes.Overview:
    """Everything the live page shows to this user."""
    sees_all = role is Role.ADMIN
    running = [job for job in sample.running if sees_all or job.user == user]
    waiting = [job for job in sample.waiting if sees_all or job.user == user]
    queue = sample.queue if sees_all else anonymous(sample.queue, user)
    queued = sum(row.queued for row in queue if row.user != OTHERS or sees_all)
    seen = None if sees_all else blockers_seen(sample, user)
    return {
        "now_ms": sample.now_ms,
        "user": user,
        "role": role.value,
        "totals": {
            "queued": sum(row.queued for row in sample.queue),
            "running": len(sample.running),
            "workers": len(sample.workers),
            "busy": sum(worker.busy for worker in sample.workers),
        },
        "queue": [_queue(row) for row in queue],
        "running": [_job(job, sample.now_ms) for job in running[:MAX_ROWS]],
        "running_more": max(0, len(running) - MAX_ROWS),
        "waiting": [
            {**_job(job, sample.now_ms), **_outlook(job, sample.now_ms, seen)}
            for job in waiting[:MAX_ROWS]
        ],
        "waiting_more": max(0, queued - len(waiting[:MAX_ROWS])),
        "gpus": [_gpu(gpu) for gpu in sample.gpus],
        "workers": [_worker(worker, user, sees_all) for worker in sample.workers],
        "ended": {
            "minutes": ENDED_MINUTES,
            "all": _ended(sample.ended.values()),
            "own": _ended([sample.ended.get(user, EndedCounts())]),
        },
    }


def anonymous(queue: Iterable[QueueSample], user: str) -> list[QueueSample]:
    """One user's numbers, and everybody else's as one."""
    rows = list(queue)
    rest = [row for row in rows if row.user != user]
    others = QueueSample(
        user=OTHERS,
        queued=sum(row.queued for row in rest),
        running=sum(row.running for row in rest),
    )
    return [row for row in rows if row.user == user] + ([others] if rest else [])


def _queue(row: QueueSample) -> shapes.QueueRow:
    return {"user": row.user, "queued": row.queued, "running": row.running}


def _job(job: JobSample, now_ms: int) -> shapes.JobRow:
    return {
        "prompt_id": job.prompt_id,
        "user": job.user,
        "state": job.state,
        "wait_reason": job.wait_reason,
        "wait_detail": job.wait_detail,
        "worker": job.worker,
        "gpu": job.gpu,
        "since_ms": job.since_ms,
        "seconds": max(0.0, (now_ms - job.since_ms) / 1000),
    }


def _outlook(job: JobSample, now_ms: int, seen: frozenset[str] | None) -> shapes.Outlook:
    """What is in a waiting job's way (``seen``: of these), and in how many seconds it should start."""
    return {
        "blocker": job.wait_blocker if seen is None or job.wait_blocker in seen else "",
        "start_p50_seconds": _from_now(job.start_p50_ms, now_ms),
        "start_p90_seconds": _from_now(job.start_p90_ms, now_ms),
    }


def blockers_seen(sample: Sample, user: str) -> frozenset[str]:
    """What may be told to be in a job's way: GPUs and workers are everybody's to see, others' jobs not.

    One set for all of a page's jobs: a sample has thousands.
    """
    own = (job.id for job in (*sample.running, *sample.waiting) if job.user == user)
    return frozenset(
        (*(gpu.id for gpu in sample.gpus), *(worker.id for worker in sample.workers), *own)
    )


def _from_now(at_ms: int, now_ms: int) -> float | None:
    return max(0.0, (at_ms - now_ms) / 1000) if at_ms else None


def _gpu(gpu: GpuSample) -> shapes.GpuRow:
    return {
        "id": gpu.id,
        "name": gpu.name,
        "agent": gpu.agent,
        "index": gpu.index,
        "state": gpu.state,
        "memory_source": gpu.memory_source,
        "silent": gpu.silent,
        "total_bytes": gpu.total_bytes,
        "foreign_bytes": gpu.foreign_bytes,
        "resident_bytes": gpu.resident_bytes,
        "reserved_bytes": gpu.reserved_bytes,
        "free_bytes": gpu.free_bytes,
    }


def _worker(worker: WorkerSample, user: str, sees_all: bool) -> shapes.WorkerRow:
    # A model's file name may say what somebody works on.
    own = sees_all or worker.user == user
    return {
        "id": worker.id,
        "agent": worker.agent,
        "gpu": worker.gpu,
        "state": worker.state,
        "silent": worker.silent,
        "busy": worker.busy,
        "user": (worker.user if own else OTHERS) if worker.busy else "",
        "used_bytes": worker.used_bytes,
        "reserved_bytes": worker.reserved_bytes,
        "models": list(worker.models) if sees_all else [],
    }


def _ended(counts: Iterable[EndedCounts]) -> shapes.EndedRow:
    rows = list(counts)
    return {
        "succeeded": sum(row.succeeded for row in rows),
        "failed": sum(row.failed for row in rows),
        "cancelled": sum(row.cancelled for row in rows),
    }
