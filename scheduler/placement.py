"""Where a job may run: capacity, holds, headroom, and the best worker (pure).

All figures are bytes of device footprint. A GPU's *capacity* is what may be
promised: ``total − foreign − safety``. Each worker *holds* the larger of what
its process occupies and what its job was promised. A job fits on a worker when
its need and the holds of the GPU's *other* workers stay within the capacity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from scheduler.states import Gpu, GpuState, Job, Snapshot, Worker, WorkerState

#: What an idle ComfyUI process holds with no model loaded: its CUDA context of
#: 1.36 GiB as measured on an H200, and room for cuDNN workspaces.
BASE_BYTES: Final = 1536 * 2**20


@dataclass(frozen=True, slots=True)
class Safety:
    """Memory of a GPU that is never promised: the larger of a share and a floor."""

    share: float
    min_bytes: int


def capacity_bytes(gpu: Gpu, safety: Safety) -> int:
    """Bytes of a GPU that may be promised, never below zero."""
    ours = gpu.total_bytes - gpu.foreign_bytes
    return max(0, ours - max(safety.min_bytes, int(safety.share * ours)))


def empty_capacity_bytes(gpu: Gpu, safety: Safety) -> int:
    """What the GPU could promise if no other process used it."""
    return capacity_bytes(replace(gpu, foreign_bytes=0), safety)


@dataclass(frozen=True, slots=True)
class Offer:
    """A worker that could take a job now, and the reservation it would get."""

    worker: Worker
    bytes: int
    capacity_bytes: int
    #: the job's models are loaded there
    warm: bool
    #: nothing is loaded there
    empty: bool

    @property
    def order(self) -> tuple[bool, bool, bool, int, str]:
        """Sort key: warm before empty before the least to evict (design, *Admission*).

        Before all that no GPU: only a job that needs none is offered a choice.
        """
        worker = self.worker
        return (bool(worker.gpu), not self.warm, not self.empty, worker.used_bytes, worker.id)


class Room:
    """One plan's picture of the pool, in which admissions made so far count."""

    def __init__(
        self,
        snapshot: Snapshot,
        safety: Safety,
        floors: Mapping[str, int] | None = None,
        resigned_ms: int = 600_000,
        heartbeat_ms: int = 10_000,
    ) -> None:
        """Picture a snapshot.

        Args:
            snapshot: the pool as the ledger knows it.
            safety: what is never promised.
            floors: bytes that a worker still held after its last release.
            resigned_ms: after so long a job no longer waits for other processes to leave.
            heartbeat_ms: what has been silent for longer takes no job; its holds count.
        """
        self._resigned_at = snapshot.now_ms - resigned_ms
        self._heard_since = snapshot.now_ms - heartbeat_ms
        self._largest_empty = max(
            (empty_capacity_bytes(gpu, safety) for gpu in snapshot.gpus), default=0
        )
        self._workers = {worker.id: worker for worker in snapshot.workers}
        self._gpus = {gpu.id: gpu for gpu in snapshot.gpus}
        self._capacity = {gpu.id: capacity_bytes(gpu, safety) for gpu in snapshot.gpus}
        self._floors = floors or {}
        self._kept: dict[str, str] = {}

    @property
    def gpus(self) -> Iterable[Gpu]:
        """All GPUs of the snapshot."""
        return self._gpus.values()

    def capacity(self, gpu: str) -> int:
        """Bytes of a GPU that may be promised."""
        return self._capacity[gpu]

    def largest_capacity(self) -> int:
        """The most any one GPU that reports can promise; 0 without a GPU that counts bytes."""
        heard = (gpu.id for gpu in self._gpus.values() if self._heard(gpu))
        return max((self._capacity[gpu] for gpu in heard), default=0)

    def wants_a_whole_gpu(self, job: Job) -> bool:
        """No GPU of the pool could promise the job's need: it gets all of one, and its limit.

        Memory that other processes hold today counts as free, as they may leave, and a
        silent GPU counts, as it may come back; a job that has waited for that too long
        takes what there is.
        """
        if job.submitted_ms <= self._resigned_at:
            return job.need_bytes > self.largest_capacity()
        return job.need_bytes > self._largest_empty

    def on(self, gpu: str) -> list[Worker]:
        """Workers of a GPU, gone ones included only while they still hold memory."""
        return [worker for worker in self._workers.values() if worker.gpu == gpu]

    def headroom(self, worker: Worker) -> int:
        """Bytes a job on this worker may be promised: the smaller of two views.

        The ledger's view counts holds; NVML's view counts what is free now
        less what running jobs were promised and have not taken yet.
        """
        gpu = self._gpus[worker.gpu]
        others = [other for other in self.on(worker.gpu) if other.id != worker.id]
        ledger = self._capacity[gpu.id] - sum(other.hold_bytes for other in others)
        promised = sum(max(0, other.reserved_bytes - other.used_bytes) for other in others)
        safety = gpu.total_bytes - gpu.foreign_bytes - self._capacity[gpu.id]
        device = gpu.total_bytes - gpu.used_bytes - safety + worker.used_bytes - promised
        return min(ledger, device)

    def idle(self, *, needs_gpu: bool) -> list[Worker]:
        """Workers that could take a job now."""
        return [
            worker
            for worker in self.up(needs_gpu=needs_gpu)
            if worker.state is WorkerState.READY and not worker.job and self._usable(worker)
        ]

    def offers(self, job: Job) -> list[Offer]:
        """Workers where the job fits now, best first; of whole GPUs the largest."""
        found = (self._offer(job, worker) for worker in self.idle(needs_gpu=job.needs_gpu))
        offers = sorted((offer for offer in found if offer is not None), key=lambda o: o.order)
        if self.wants_a_whole_gpu(job):
            offers.sort(key=lambda offer: -offer.capacity_bytes)
        return offers

    def _offer(self, job: Job, worker: Worker) -> Offer | None:
        warm = bool(job.models) and set(job.models) <= set(worker.models)
        empty = not worker.models
        if worker.gpu and self._kept_from(job, worker.gpu):
            return None
        need = self.need_on(job, worker)
        if not worker.gpu or need == 0:
            return Offer(worker, 0, 0, warm, empty)
        capacity = self._capacity[worker.gpu]
        headroom = self.headroom(worker)
        if need <= headroom:
            return Offer(worker, need, capacity, warm, empty)
        if self.wants_a_whole_gpu(job) and self._alone(worker) and headroom > 0:
            return Offer(worker, headroom, capacity, warm, empty)
        return None

    def need_on(self, job: Job, worker: Worker) -> int:
        """The job's need on this worker.

        ComfyUI unloads another model only when the *card* is full, so on a
        worker that holds other models both must be counted, or a neighbour
        would pay for it.
        """
        if not worker.models or set(job.models) <= set(worker.models):
            return job.need_bytes
        return job.need_bytes + max(0, worker.used_bytes - BASE_BYTES)

    def _alone(self, worker: Worker) -> bool:
        """Nothing on this GPU but this worker can give anything back."""
        others = [other for other in self.on(worker.gpu) if other.id != worker.id]
        return all(not other.job and not self.releasable(other) for other in others) and (
            not self.releasable(worker)
        )

    def releasable(self, worker: Worker) -> bool:
        """Idle, and holds more than it would after a release."""
        floor = max(BASE_BYTES, self._floors.get(worker.id, 0))
        return (
            worker.state is WorkerState.READY
            and self._heard(worker)
            and not worker.job
            and bool(worker.gpu)
            and worker.used_bytes > floor + 64 * 2**20
        )

    def releases_for(self, job: Job) -> list[Worker]:
        """Idle workers whose residency, given back, would let the job start; else nothing.

        Chosen on the GPU where the least has to be given up. A release under
        way counts as given back, so that it is waited for, not repeated.
        """
        plans = [self._releases_on(job, worker) for worker in self.idle(needs_gpu=job.needs_gpu)]
        possible = [plan for plan in plans if plan is not None]
        return min(possible, key=lambda plan: sum(w.used_bytes for w in plan), default=[])

    def _releases_on(self, job: Job, worker: Worker) -> list[Worker] | None:
        if not worker.gpu or self._kept_from(job, worker.gpu):
            return None
        candidates = sorted(
            (other for other in self.on(worker.gpu) if self.releasable(other)),
            key=lambda other: (other.id == worker.id, other.used_bytes),
        )
        if self.wants_a_whole_gpu(job):
            busy = any(other.job for other in self.on(worker.gpu))
            return None if busy else candidates
        chosen: list[Worker] = []
        trial = self.copy()
        for candidate in candidates:
            chosen.append(candidate)
            trial.give_back(candidate)
            if trial._fits(job, worker.id):
                return chosen
        return None

    def _fits(self, job: Job, worker_id: str) -> bool:
        worker = self._workers[worker_id]
        return self.need_on(job, worker) <= self.headroom(worker)

    def releasing_helps(self, job: Job) -> bool:
        """A release under way on some GPU may be all the job waits for."""
        return any(
            worker.state is WorkerState.RELEASING
            and self._heard(worker)
            and job.need_bytes <= self._capacity.get(worker.gpu, 0)
            for worker in self._workers.values()
        )

    def copy(self) -> Room:
        """The same picture, to try something out on."""
        twin = Room.__new__(Room)
        twin._workers = dict(self._workers)
        twin._gpus = dict(self._gpus)
        twin._capacity = self._capacity
        twin._floors = self._floors
        twin._kept = self._kept
        twin._resigned_at = self._resigned_at
        twin._heard_since = self._heard_since
        twin._largest_empty = self._largest_empty
        return twin

    def give_back(self, worker: Worker) -> None:
        """Picture the worker after a release."""
        floor = max(BASE_BYTES, self._floors.get(worker.id, 0))
        freed = max(0, worker.used_bytes - floor)
        self._workers[worker.id] = replace(worker, used_bytes=worker.used_bytes - freed, models=())
        gpu = self._gpus[worker.gpu]
        self._gpus[gpu.id] = replace(gpu, used_bytes=gpu.used_bytes - freed)

    def take(self, job: Job, offer: Offer) -> None:
        """Picture the job admitted."""
        self._workers[offer.worker.id] = replace(
            offer.worker, job=job.id, reserved_bytes=offer.bytes
        )

    def start_release(self, worker: Worker) -> None:
        """Picture a release under way: the bytes still count."""
        self._workers[worker.id] = replace(worker, state=WorkerState.RELEASING)

    def keep(self, gpu: str, job: Job) -> None:
        """Keep a GPU free for one job: nobody else is offered it in this plan."""
        self._kept[gpu] = job.id

    def keeps_from(self, job: Job) -> bool:
        """Some GPU is being kept free for another job."""
        return any(self._kept_from(job, gpu) for gpu in self._kept)

    def _kept_from(self, job: Job, gpu: str) -> bool:
        return self._kept.get(gpu, job.id) != job.id

    def up(self, *, needs_gpu: bool) -> list[Worker]:
        """Workers for such a job that run and whose agent reports, busy ones included.

        One on the CPU counts only where no GPU is needed or the pool has none.
        """
        workers = self._workers.values()
        up = [w for w in workers if w.state is not WorkerState.DOWN and self._heard(w)]
        if needs_gpu and any(worker.gpu for worker in workers):
            return [worker for worker in up if worker.gpu]
        return up

    def serves(self, gpu: str) -> bool:
        """Some worker of the GPU takes jobs, or will once it is free."""
        return any(worker.gpu == gpu and self._usable(worker) for worker in self.up(needs_gpu=True))

    def _usable(self, worker: Worker) -> bool:
        """Its agent reports, and its GPU's figures can be believed."""
        if not worker.gpu:
            return self._heard(worker)
        gpu = self._gpus.get(worker.gpu)
        reported = gpu is not None and gpu.state is GpuState.READY and self._heard(gpu)
        return reported and self._heard(worker)

    def _heard(self, one: Worker | Gpu) -> bool:
        return one.heartbeat_ms >= self._heard_since
