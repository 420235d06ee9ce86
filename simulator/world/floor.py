"""The idle workers of one plan, as the simple baselines see them."""

from __future__ import annotations

from collections import defaultdict

from scheduler.decisions import Admit, Release
from scheduler.ledger_values import Grant
from scheduler.placement import capacity_bytes
from scheduler.plan_config import PlanConfig
from scheduler.states import Job, Snapshot, Worker, WorkerState


class Floor:
    """Idle workers in order of their ids, less those that this plan has taken."""

    def __init__(self, snapshot: Snapshot, config: PlanConfig) -> None:
        self._gpus = {gpu.id: gpu for gpu in snapshot.gpus}
        self._safety = config.safety
        self._on: dict[str, list[Worker]] = defaultdict(list)
        self._promised: dict[str, int] = defaultdict(int)
        self.idle: list[Worker] = []
        for worker in snapshot.workers:
            self._on[worker.gpu].append(worker)
            if worker.state is WorkerState.READY and not worker.job:
                self.idle.append(worker)
        self.idle.sort(key=lambda worker: worker.id)

    def _capacity(self, worker: Worker) -> int:
        return capacity_bytes(self._gpus[worker.gpu], self._safety)

    def room(self, worker: Worker) -> int:
        """Bytes that a job on this worker may be promised."""
        on = self._on[worker.gpu]
        others = sum(other.hold_bytes for other in on if other is not worker)
        return self._capacity(worker) - others - self._promised[worker.gpu]

    def need(self, job: Job, worker: Worker) -> int:
        """Bytes that the worker will hold for the job.

        Beside neighbours that includes its other models: ComfyUI drops them only when
        the card is full, and then it is a neighbour's memory that is missing.
        """
        if len(self._on[worker.gpu]) == 1 or not worker.models:
            return job.need_bytes
        sizes = zip(job.models, job.model_bytes, strict=False)
        shared = sum(size for model, size in sizes if model in worker.models)
        return job.need_bytes + max(0, worker.used_bytes - shared)

    def fits(self, job: Job, worker: Worker) -> bool:
        """The job's need has room there."""
        return self.need(job, worker) <= self.room(worker)

    def take(self, job: Job, worker: Worker, *, warm: bool, passed: tuple[str, ...] = ()) -> Admit:
        """Admit the job: with the whole GPU if the worker has it alone, else with its need."""
        slots = len(self._on[worker.gpu])
        promise = self.room(worker) if slots == 1 else self.need(job, worker)
        self._promised[worker.gpu] += promise
        self.idle.remove(worker)
        load_seconds = 0.0 if warm else job.load_seconds
        seconds = max(0.001, job.need_seconds + load_seconds)
        capacity = self._capacity(worker)
        # the dominant share of one GPU, integrated over time; microseconds
        charge = round(max(job.need_bytes / capacity, 1 / slots) * seconds * 1e6)
        grant = Grant(
            bytes=promise,
            capacity_bytes=capacity,
            seconds=seconds,
            load_seconds=load_seconds,
            user_charge=charge,
            group_charge=charge,
            charge=charge,
            passed=passed,
        )
        return Admit(job, worker, grant)

    def clear_for(self, job: Job) -> list[Release]:
        """Idle workers that could make room, if none of them has any: the fullest one of those."""
        held = [worker for worker in self.idle if worker.models and len(self._on[worker.gpu]) > 1]
        if not held:
            return []
        worker = max(held, key=lambda worker: (worker.used_bytes, worker.id))
        self.idle.remove(worker)
        return [Release(worker)]


def is_warm(job: Job, worker: Worker) -> bool:
    """All models of the job are loaded there."""
    return set(job.models) <= set(worker.models)


def by_counter(snapshot: Snapshot) -> list[Job]:
    """First jobs of the users, least served first."""
    waiting = [backlog for backlog in snapshot.backlogs if backlog.jobs]
    waiting.sort(key=lambda b: (b.virtual, b.last_admitted_ms, b.user))
    return [backlog.jobs[0] for backlog in waiting]
