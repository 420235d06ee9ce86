"""An agent's heartbeat in memory: what it sees, merged with what the ledger knows better."""

from __future__ import annotations

from bisect import insort
from dataclasses import replace

from scheduler.ledger_values import EventKind, Order, OrderKind, Report
from scheduler.memory_base import BooksBase, Fleet
from scheduler.memory_records import WorkerRecord
from scheduler.states import Gpu, Worker, WorkerState

#: A worker that is RELEASING is told so again after this long.
TELL_AGAIN_MS = 5000
#: A GPU whose headroom grew by this much is news.
GREW_BYTES = 64 * 1024 * 1024


class _News:
    """The first change of one report: one event nudges the scheduler, however many there are."""

    __slots__ = ("first",)

    def __init__(self) -> None:
        self.first: tuple[str, str, str] | None = None

    def tell(self, worker: str, gpu: str, reason: str) -> None:
        self.first = self.first or (worker, gpu, reason)


class BooksReport(BooksBase):
    """Reports of agents, and forgetting the silent."""

    def report(self, report: Report) -> None:
        """Heartbeat; also marks workers that the agent no longer names as gone."""
        agent, now, news = report.agent.id, self.clock_ms(), _News()
        fleet = self.fleets.setdefault(agent, Fleet())
        workers = {worker.id: worker for worker in report.workers}
        gpus = {gpu.id: gpu for gpu in report.gpus}
        lost = [worker_id for worker_id in fleet.workers if worker_id not in workers]
        for worker in workers.values():
            self._merge_worker(agent, fleet, worker, now, news)
        for worker_id in lost:
            self._lose_worker(agent, fleet, worker_id, news)
        gone = [gpu_id for gpu_id in fleet.gpus if gpu_id not in gpus]
        for gpu in gpus.values():
            self._merge_gpu(agent, fleet, gpu, now, news)
        for gpu_id in gone:
            self._lose_gpu(agent, fleet, gpu_id, news)
        self.agents[agent] = replace(report.agent, heartbeat_ms=now)
        self.seen_agents = self.seen_workers = self.seen_gpus = None
        if news.first is not None:
            worker_id, gpu_id, reason = news.first
            self.emit(EventKind.CAPACITY, worker=worker_id, gpu=gpu_id, reason=reason)

    def _merge_worker(
        self, agent: str, fleet: Fleet, worker: Worker, now: int, news: _News
    ) -> None:
        known = self.workers.get(worker.id)
        home, gpu = fleet.workers.get(worker.id, worker.gpu), worker.gpu
        if known is not None and known.job and known.agent == agent:
            gpu = home  # a reservation stays on the GPU it was made on
        elif home != gpu:
            self.holds_of(home).used.pop(worker.id, None)
        state = worker.state
        if state is not WorkerState.DOWN:
            releasing = known is not None and known.state is WorkerState.RELEASING
            state = WorkerState.RELEASING if releasing else WorkerState.READY
        if known is None:
            news.tell(worker.id, gpu, "worker_appeared")
        elif known.state is not state:
            news.tell(worker.id, gpu, f"worker_{state.value.lower()}")
        elif known.catalogue != worker.catalogue:
            news.tell(worker.id, gpu, "catalogue")
        elif known.models != worker.models:
            news.tell(worker.id, gpu, "models")
        record = known or self._new_worker(worker.id)
        if state is WorkerState.RELEASING and now - record.told_ms > TELL_AGAIN_MS:
            self.tell(agent, Order(OrderKind.RELEASE, worker.id))
            record.told_ms = now
        record.agent, record.gpu, record.state = agent, gpu, state
        record.models, record.has_probe = worker.models, worker.has_probe
        record.limit, record.host_used_bytes = worker.limit, worker.host_used_bytes
        record.heartbeat_ms, record.noun = now, None
        record.catalogue = worker.catalogue
        self.holds_of(gpu).used[worker.id] = worker.used_bytes
        fleet.workers[worker.id] = gpu

    def _new_worker(self, worker_id: str) -> WorkerRecord:
        insort(self.worker_ids, worker_id)
        return self.workers.setdefault(worker_id, WorkerRecord(worker_id))

    def _lose_worker(self, agent: str, fleet: Fleet, worker_id: str, news: _News) -> None:
        known = self.workers.get(worker_id)
        if known is None or known.agent != agent:
            del fleet.workers[worker_id]
            return
        if known.state is not WorkerState.DOWN:
            known.state, known.noun = WorkerState.DOWN, None
            # its process has gone, and its memory with it
            self.holds_of(fleet.workers[worker_id]).used.pop(worker_id, None)
            news.tell(worker_id, known.gpu, "worker_gone")
        if not known.job:
            del fleet.workers[worker_id]

    def _merge_gpu(self, agent: str, fleet: Fleet, gpu: Gpu, now: int, news: _News) -> None:
        known = self.gpus.get(gpu.id)
        free = gpu.total_bytes - gpu.foreign_bytes - self.holds_of(gpu.id).sum()
        announced = free if known is None else self.announced[gpu.id]
        if known is None:
            news.tell("", gpu.id, "gpu_appeared")
        elif known.state is not gpu.state:
            news.tell("", gpu.id, f"gpu_{gpu.state.value.lower()}")
        elif free > announced + GREW_BYTES:
            news.tell("", gpu.id, "headroom")
            announced = free
        # What shrank bit by bit counts as news when it has grown back.
        self.announced[gpu.id] = min(announced, free)
        self.gpus[gpu.id] = replace(gpu, agent=agent, heartbeat_ms=now)
        fleet.gpus[gpu.id] = None

    def _lose_gpu(self, agent: str, fleet: Fleet, gpu_id: str, news: _News) -> None:
        del fleet.gpus[gpu_id]
        known = self.gpus.get(gpu_id)
        if known is None or known.agent != agent:
            return
        del self.gpus[gpu_id]
        self.announced.pop(gpu_id, None)
        news.tell("", gpu_id, "gpu_gone")

    # ── forgetting ───────────────────────────────────────────────────────────

    def forget(self, epoch: int, silent_ms: int) -> list[str]:
        """Drop agents, workers and GPUs that have no job and said nothing for that long."""
        if not self.is_leader(epoch):
            return []
        now = self.clock_ms()
        # in this order: an agent goes when it has nothing left, a GPU when no worker holds it
        forgotten = self._forget_workers(now, silent_ms) + self._forget_gpus(now, silent_ms)
        for agent_id, agent in sorted(self.agents.items()):
            fleet = self.fleets.get(agent_id, Fleet())
            if now - agent.heartbeat_ms > silent_ms and not fleet.workers and not fleet.gpus:
                del self.agents[agent_id]
                self.fleets.pop(agent_id, None)
                self.inboxes.pop(agent_id, None)
                forgotten.append(agent_id)
        if forgotten:
            self.seen_agents = self.seen_workers = self.seen_gpus = None
        return forgotten

    def _forget_workers(self, now: int, silent_ms: int) -> list[str]:
        silent = [
            record
            for _, record in sorted(self.workers.items())
            if now - record.heartbeat_ms > silent_ms and not record.job
        ]
        for record in silent:
            holds = self.holds_of(record.gpu)
            holds.used.pop(record.id, None)
            if not holds.used and not holds.reserved:
                del self.holds[record.gpu]
            if record.agent in self.fleets:
                self.fleets[record.agent].workers.pop(record.id, None)
            del self.workers[record.id]
            self.worker_ids.remove(record.id)
        return [record.id for record in silent]

    def _forget_gpus(self, now: int, silent_ms: int) -> list[str]:
        forgotten = []
        for gpu_id, gpu in sorted(self.gpus.items()):
            held = self.holds.get(gpu_id)
            if held is not None and not held.used and not held.reserved:
                del self.holds[gpu_id]
                held = None
            # A GPU stays as long as one of its workers does.
            if now - gpu.heartbeat_ms > silent_ms and held is None:
                if gpu.agent in self.fleets:
                    self.fleets[gpu.agent].gpus.pop(gpu_id, None)
                del self.gpus[gpu_id]
                self.announced.pop(gpu_id, None)
                forgotten.append(gpu_id)
        return forgotten
