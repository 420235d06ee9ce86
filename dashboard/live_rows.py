"""The tables of a live page as one person may see them: pure, JSON-ready.

Admins see everybody's names. Others see their own jobs and name; all else is one count called
``others``. Rows that are as they were are the same objects, so that differences are cheap to find.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from config.settings import Role
from dashboard import live_shapes as shapes
from dashboard.overview import ENDED_MINUTES, MAX_ROWS, OTHERS, anonymous, blockers_seen
from dashboard.sample import EndedCounts, GpuSample, JobSample, Sample, WorkerSample
from dashboard.tables import Row, Tables
from scheduler.live import Standing

Standings = Mapping[str, Standing]


class LiveRows:
    """Makes one person's tables, moment after moment."""

    def __init__(self, user: str, role: Role) -> None:
        self.user = user
        self.role = role
        #: by kind and id: what a row was made of, and the row
        self._old: dict[tuple[str, str], tuple[object, Row]] = {}
        self._made: dict[tuple[str, str], tuple[object, Row]] = {}
        #: what may be told to be in a job's way; None: everything
        self._blockers: frozenset[str] | None = frozenset()

    @property
    def sees_all(self) -> bool:
        """Whether other users' rows may be told."""
        return self.role is Role.ADMIN

    def tables(self, sample: Sample, standings: Standings) -> Tables:
        """Everything that the page shows of this moment."""
        self._old, self._made = self._made, {}
        self._blockers = None if self.sees_all else blockers_seen(sample, self.user)
        running = [job for job in sample.running if self._may_see(job)][:MAX_ROWS]
        waiting = [job for job in sample.waiting if self._may_see(job)][:MAX_ROWS]
        queue = sample.queue if self.sees_all else anonymous(sample.queue, self.user)
        at = [(job.id, standings[job.id]) for job in running if job.id in standings]
        return {
            "pool": {"": self._pool(sample)},
            "queue": {one.user: {"queued": one.queued, "running": one.running} for one in queue},
            "running": {job.id: self._job(job) for job in running},
            "waiting": {job.id: self._job(job) for job in waiting},
            "gpus": {
                one.id: self._row("gpu", one.id, one, partial(_gpu, one)) for one in sample.gpus
            },
            "workers": {
                one.id: self._row("worker", one.id, one, partial(self._worker, one))
                for one in sample.workers
            },
            "progress": {
                id_: self._row("at", id_, one, partial(_progress, one)) for id_, one in at
            },
        }

    def _row(self, kind: str, id_: str, source: object, make: Callable[[], Row]) -> Row:
        """The row as it was, while what it is made of is equal."""
        known = self._old.get((kind, id_))
        made = known[1] if known is not None and known[0] == source else make()
        self._made[kind, id_] = (source, made)
        return made

    def _job(self, job: JobSample) -> Row:
        seen = self._blockers is None or job.wait_blocker in self._blockers
        blocker = job.wait_blocker if seen else ""
        return self._row("job", job.id, (job, blocker), partial(_job, job, blocker))

    def seen(self, user: str) -> str:
        """What a user is called to this person."""
        return user if self.sees_all or user in ("", self.user) else OTHERS

    def _may_see(self, job: JobSample) -> bool:
        return self.sees_all or job.user == self.user

    def _pool(self, sample: Sample) -> Row:
        own = sample.ended.get(self.user, EndedCounts())
        everybody = sample.ended.values()
        firing, critical = sample.alerts.seen(None if self.sees_all else self.user)
        told: shapes.Told = {
            "queued": sum(row.queued for row in sample.queue),
            "running": len(sample.running),
            "workers": len(sample.workers),
            "busy": sum(worker.busy for worker in sample.workers),
            "ended_minutes": ENDED_MINUTES,
            "succeeded": sum(one.succeeded for one in everybody),
            "failed": sum(one.failed for one in everybody),
            "cancelled": sum(one.cancelled for one in everybody),
            "own_succeeded": own.succeeded,
            "own_failed": own.failed,
            "own_cancelled": own.cancelled,
            "alerts": firing,
            "alerts_critical": critical,
            "alerts_unwatched": sample.alerts.unwatched,
            "closed": sample.closed is not None,
            "closed_why": sample.closed.why if sample.closed else "",
            "closed_until_ms": sample.closed.until_ms if sample.closed else 0,
        }
        return told

    def _worker(self, worker: WorkerSample) -> Row:
        told: shapes.LiveWorker = {
            "agent": worker.agent,
            "gpu": worker.gpu,
            "state": worker.state,
            "silent": worker.silent,
            "busy": worker.busy,
            "user": self.seen(worker.user),
            "used_bytes": worker.used_bytes,
            "reserved_bytes": worker.reserved_bytes,
            "hold_bytes": worker.hold_bytes,
            "limit": worker.limit,
            "detail": worker.detail if self.sees_all else "",
            # a model's file name may say what somebody works on
            "models": list(worker.models) if self.sees_all else [],
        }
        return told


def _job(job: JobSample, blocker: str) -> Row:
    told: shapes.LiveJob = {
        "prompt_id": job.prompt_id,
        "user": job.user,
        "state": job.state,
        "lane": job.lane,
        "wait_reason": job.wait_reason,
        "wait_detail": job.wait_detail,
        "blocker": blocker,
        "worker": job.worker,
        "gpu": job.gpu,
        "since_ms": job.since_ms,
        "start_p50_ms": job.start_p50_ms,
        "start_p90_ms": job.start_p90_ms,
        "bytes": job.bytes,
        "need_seconds": job.need_seconds,
        "attempt": job.attempt,
    }
    return told


def _gpu(gpu: GpuSample) -> Row:
    vitals = gpu.vitals
    told: shapes.LiveGpu = {
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
        "utilisation": vitals.utilisation,
        "temperature": vitals.temperature_c,
        "power_mw": vitals.power_mw,
        "clock_mhz": vitals.clock_mhz,
        "throttled": list(vitals.throttled),
        "ecc_uncorrected": vitals.ecc_uncorrected,
        "by_process": vitals.by_process,
        "trouble": vitals.trouble,
        "rival": gpu.rival,
    }
    return told


def _progress(at: Standing) -> Row:
    told: shapes.LiveProgress = {
        "node": at.node,
        "class_type": at.class_type,
        "value": at.value,
        "most": at.most,
        "done": at.done,
        "nodes": at.nodes,
        "since_ms": at.since_ms,
    }
    return told
