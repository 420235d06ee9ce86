"""Whether a heartbeat says something new, so that it is sent at once. Pure."""

from __future__ import annotations

from typing import Final

from scheduler.ledger import Report
from scheduler.states import Gpu, Worker

#: memory that comes or goes in smaller steps waits for the next regular report
STEP_BYTES: Final = 64 * 2**20


def differs(last: Report, now: Report) -> bool:
    """True where a plan made on the last report could be wrong now."""
    return _workers(last) != _workers(now) or _gpus_differ(last, now)


def _workers(report: Report) -> list[tuple[object, ...]]:
    return [_worker(worker) for worker in report.workers]


def _worker(worker: Worker) -> tuple[object, ...]:
    return worker.id, worker.gpu, worker.state, worker.models


def _gpus_differ(last: Report, now: Report) -> bool:
    before = {gpu.id: gpu for gpu in last.gpus}
    if before.keys() != {gpu.id for gpu in now.gpus}:
        return True
    return any(_gpu_differs(before[gpu.id], gpu) for gpu in now.gpus)


def _gpu_differs(last: Gpu, now: Gpu) -> bool:
    step = abs(last.foreign_bytes - now.foreign_bytes)
    return last.state is not now.state or step > STEP_BYTES
