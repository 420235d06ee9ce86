"""Whether a heartbeat says something new, so that it is sent at once. Pure."""

from __future__ import annotations

from typing import Final

from scheduler.ledger import Report
from scheduler.states import Gpu, Worker

#: memory that comes or goes in smaller steps waits for the next regular report
STEP_BYTES: Final = 64 * 2**20


def differs(last: Report, now: Report, *, moved: bool = True) -> bool:
    """True where a plan made on the last report could be wrong now.

    Args:
        last: what was told.
        now: what is seen.
        moved: whether memory that workers took or gave back counts too: their reservations
            hold it anyway, so that it can wait a moment.
    """
    workers = {worker.id: worker for worker in last.workers}
    gpus = {gpu.id: gpu for gpu in last.gpus}
    if workers.keys() != {worker.id for worker in now.workers}:
        return True
    if gpus.keys() != {gpu.id for gpu in now.gpus}:
        return True
    return any(
        _worker_differs(workers[worker.id], worker, moved=moved) for worker in now.workers
    ) or any(_gpu_differs(gpus[gpu.id], gpu) for gpu in now.gpus)


def _worker_differs(last: Worker, now: Worker, *, moved: bool) -> bool:
    if (last.gpu, last.state, last.models) != (now.gpu, now.state, now.models):
        return True
    if last.catalogue != now.catalogue:
        return True
    if last.detail != now.detail or last.loaded != now.loaded:
        return True
    return moved and abs(last.used_bytes - now.used_bytes) > STEP_BYTES


def _gpu_differs(last: Gpu, now: Gpu) -> bool:
    step = abs(last.foreign_bytes - now.foreign_bytes)
    return last.state is not now.state or step > STEP_BYTES
