"""Builders of snapshots for tests of the pure scheduler: say only what matters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scheduler.placement import Safety
from scheduler.plan_config import PlanConfig
from scheduler.states import (
    Agent,
    Backlog,
    Gpu,
    GpuState,
    Job,
    JobState,
    Lane,
    MemorySource,
    Snapshot,
    Worker,
    WorkerState,
)

GIB = 2**30
#: Keeps sums readable: nothing is set aside.
NO_SAFETY = Safety(share=0.0, min_bytes=0)


def gpu(name: str = "gpu0", total: float = 24, **changes: Any) -> Gpu:
    """A healthy GPU of ``total`` GiB; ``used``/``foreign`` in GiB."""
    used = changes.pop("used", 0.0)
    foreign = changes.pop("foreign", 0.0)
    values: dict[str, Any] = {
        "id": name,
        "agent": "host",
        "index": 0,
        "name": "Test GPU",
        "total_bytes": int(total * GIB),
        "used_bytes": int((used + foreign) * GIB),
        "foreign_bytes": int(foreign * GIB),
        "state": GpuState.READY,
        "memory_source": MemorySource.NVML,
        "heartbeat_ms": 1_000_000,
    }
    return Gpu(**{**values, **changes})


def worker(name: str = "w0", on: str = "gpu0", used: float = 0, **changes: Any) -> Worker:
    """An idle, ready worker that holds ``used`` GiB; ``reserved`` in GiB."""
    reserved = changes.pop("reserved", 0.0)
    values: dict[str, Any] = {
        "id": name,
        "agent": "host",
        "gpu": on,
        "state": WorkerState.READY,
        "used_bytes": int(used * GIB),
        "models": (),
        "heartbeat_ms": 1_000_000,
        "reserved_bytes": int(reserved * GIB),
    }
    return Worker(**{**values, **changes})


def job(name: str, user: str = "ann", need: float = 4, **changes: Any) -> Job:
    """A queued job that needs ``need`` GiB."""
    values: dict[str, Any] = {
        "id": name,
        "user": user,
        "group": "default",
        "prompt_id": name,
        "client_id": None,
        "state": JobState.QUEUED,
        "rev": 1,
        "attempt": 0,
        "number": 0,
        "lane": Lane.INTERACTIVE,
        "fingerprint": "f",
        "models": ("checkpoints/a",),
        "need_bytes": int(need * GIB),
        "need_seconds": 1.0,
        "needs_gpu": True,
        "inputs": (),
        "submitted_ms": 1_000_000,
    }
    return Job(**{**values, **changes})


def snapshot(
    gpus: Sequence[Gpu],
    workers: Sequence[Worker],
    jobs: Sequence[Job],
    *,
    running: dict[str, int] | None = None,
    last_admitted: dict[str, int] | None = None,
    virtual: dict[str, int] | None = None,
    groups: dict[str, int] | None = None,
    agents: Sequence[Agent] = (),
    active: Sequence[Job] = (),
    now_ms: int = 1_000_000,
) -> Snapshot:
    """A snapshot with each user's jobs queued in the order given. Device use is summed up."""
    users = sorted({j.user for j in jobs})
    backlogs = tuple(
        Backlog(
            user=user,
            group=next(j.group for j in jobs if j.user == user),
            queued=sum(j.user == user for j in jobs),
            running=(running or {}).get(user, 0),
            jobs=tuple(j for j in jobs if j.user == user),
            last_admitted_ms=(last_admitted or {}).get(user, 0),
            virtual=(virtual or {}).get(user, 0),
        )
        for user in users
    )
    return Snapshot(
        now_ms=now_ms,
        gpus=tuple(gpus),
        workers=tuple(workers),
        backlogs=backlogs,
        active={j.id: j for j in active},
        agents=tuple(agents),
        groups=groups or {},
    )


def running(name: str, on: str = "w0", user: str = "zoe", **changes: Any) -> Job:
    """A job that runs on a worker since ``began`` (ms) and is expected to take ``seconds``."""
    seconds = changes.pop("seconds", 10.0)
    began = changes.pop("began", 1_000_000)
    values: dict[str, Any] = {
        "state": JobState.RUNNING,
        "attempt": 1,
        "worker": on,
        "gpu": changes.pop("gpu", "gpu0"),
        "admitted_ms": began,
        "started_ms": began,
        "granted_seconds": seconds,
        "need_seconds": seconds,
    }
    return job(name, user, **{**values, **changes})


def config(**changes: Any) -> PlanConfig:
    """A plan's configuration without safety margin or caps."""
    return PlanConfig(**{"safety": NO_SAFETY, **changes})
