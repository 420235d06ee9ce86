"""Makers of ledger values with harmless defaults; tests name only what matters to them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from scheduler.ledger import Ending, Grant, Outcome, Report
from scheduler.states import (
    Agent,
    Gpu,
    GpuState,
    Guess,
    Lane,
    MemorySource,
    NewJob,
    Worker,
    WorkerState,
)

GIB = 2**30


def new_job(user: str = "ann", **changes: Any) -> NewJob:
    """A job of 4 GiB and 10 s with fresh ids."""
    job_id = changes.pop("id", None) or str(uuid.uuid4())
    fields: dict[str, Any] = {
        "id": job_id,
        "user": user,
        "group": "default",
        "prompt_id": job_id,
        "client_id": "client-1",
        "lane": Lane.INTERACTIVE,
        "front": False,
        "fingerprint": "fp-1",
        "models": ("checkpoints/a.safetensors",),
        "need_bytes": 4 * GIB,
        "need_seconds": 10.0,
        "needs_gpu": True,
        "guess": Guess(4 * GIB, 10.0, 5.0),
    }
    return NewJob(**(fields | changes))


def gpu(gpu_id: str = "gpu-0", agent: str = "host", **changes: Any) -> Gpu:
    """A healthy 24 GiB card with nothing on it."""
    fields: dict[str, Any] = {
        "id": gpu_id,
        "agent": agent,
        "index": 0,
        "name": "Test card",
        "total_bytes": 24 * GIB,
        "used_bytes": 0,
        "foreign_bytes": 0,
        "state": GpuState.READY,
        "memory_source": MemorySource.NVML,
    }
    return Gpu(**(fields | changes))


def worker(worker_id: str = "host-0", gpu: str = "gpu-0", **changes: Any) -> Worker:
    """A ready, idle, empty worker of agent ``host``."""
    fields: dict[str, Any] = {
        "id": worker_id,
        "agent": worker_id.rsplit("-", 1)[0],
        "gpu": gpu,
        "state": WorkerState.READY,
        "used_bytes": 0,
        "models": (),
        "has_probe": True,
    }
    return Worker(**(fields | changes))


def report(
    agent: str = "host",
    workers: Sequence[Worker] | None = None,
    gpus: Sequence[Gpu] | None = None,
) -> Report:
    """A heartbeat; by default of one GPU with one worker."""
    return Report(
        agent=Agent(id=agent, url=f"http://127.0.0.1:1/{agent}", version="1", heartbeat_ms=0),
        workers=[worker(f"{agent}-0", f"{agent}-gpu-0")] if workers is None else workers,
        gpus=[gpu(f"{agent}-gpu-0", agent)] if gpus is None else gpus,
    )


def grant(bytes_: int = 4 * GIB, capacity_bytes: int = 20 * GIB, **changes: Any) -> Grant:
    """A promise of so many bytes for 10 s, free of charge."""
    fields: dict[str, Any] = {"seconds": 10.0, "load_seconds": 0.0}
    return Grant(bytes=bytes_, capacity_bytes=capacity_bytes, **(fields | changes))


def outcome(ending: Ending = Ending.SUCCEEDED, **changes: Any) -> Outcome:
    """A closed attempt with an empty result."""
    fields: dict[str, Any] = {
        "ending": ending,
        "result": b'{"outputs": {}, "status": {"status_str": "success"}, "meta": {}}',
        "frames": b'[["execution_success", {}]]',
    }
    return Outcome(**(fields | changes))
