"""An agent's heartbeat in memory: what it sees, merged with what the ledger knows better."""

from __future__ import annotations

from bisect import insort
from dataclasses import replace

from scheduler.ledger_values import EventKind, Order, OrderKind, Report, Reported
from scheduler.memory_base import BooksBase, Fleet
from scheduler.memory_records import WorkerRecord
from scheduler.states import Agent, Gpu, GpuState, Worker, WorkerState

#: A worker that is RELEASING is told so again after this long.
TELL_AGAIN_MS = 5000
#: A GPU whose headroom grew by this much is news.
GREW_BYTES = 64 * 1024 * 1024
#: An agent that said nothing of a GPU for this long has let go of it.
CLAIM_MS = 5000


class _News:
    """The first change of one report: one event nudges the scheduler, however many there are.

    And who else claims what the agent reports.
    """

    __slots__ = ("first", "rivals")

    def __init__(self) -> None:
        self.first: tuple[str, str, str] | None = None
        self.rivals: dict[str, str] = {}

    def tell(self, worker: str, gpu: str, reason: str) -> None:
        self.first = self.first or (worker, gpu, reason)


class BooksReport(BooksBase):
    """Reports of agents, and forgetting the silent."""

    def report(self, report: Report) -> Reported:
        """Heartbeat; also marks workers that the agent no longer names as gone."""
        agent, now, news = report.agent.id, self.clock_ms(), _News()
        if not self._succeed(report.agent):
            return Reported(replaced=True)
        fleet = self.fleets.setdefault(agent, Fleet())
        workers = {worker.id: worker for worker in report.workers}
        gpus = {gpu.id: gpu for gpu in report.gpus}
        lost = [worker_id for worker_id in fleet.workers if worker_id not in workers]
        for worker in workers.values():
            self._merge_worker(report.agent, fleet, worker, now, news)
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
        return Reported(protocol=self.protocol, rivals=news.rivals)

    def _succeed(self, agent: Agent) -> bool:
        """Whether the agent is the youngest of its name."""
        known = self.agents.get(agent.id)
        if agent.boot and known is not None and known.boot and known.boot != agent.boot:
            # whoever was replaced and still reports runs beside its successor
            if self.formers.get(agent.id) == agent.boot:
                return False
            self.formers[agent.id] = known.boot
        return True

    def _merge_worker(
        self, reporter: Agent, fleet: Fleet, worker: Worker, now: int, news: _News
    ) -> None:
        agent = reporter.id
        known = self.workers.get(worker.id)
        home, gpu = fleet.workers.get(worker.id, worker.gpu), worker.gpu
        if known is not None and known.job and known.agent == agent:
            gpu = home  # a reservation stays on the GPU it was made on
        elif home != gpu:
            self.holds_of(home).used.pop(worker.id, None)
        state = worker.state
        if self.protocol not in (0, reporter.protocol):
            state = WorkerState.DOWN
        elif state is not WorkerState.DOWN:
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
        elif worker.loaded and worker.loaded == known.job and worker.loaded != known.loaded:
            news.tell(worker.id, gpu, "loaded")
        record = known or self._new_worker(worker.id)
        if state is WorkerState.RELEASING and now - record.told_ms > TELL_AGAIN_MS:
            self.tell(agent, Order(OrderKind.RELEASE, worker.id))
            record.told_ms = now
        record.agent, record.gpu, record.state = agent, gpu, state
        record.models, record.has_probe = worker.models, worker.has_probe
        record.limit, record.host_used_bytes = worker.limit, worker.host_used_bytes
        record.heartbeat_ms, record.noun = now, None
        record.catalogue, record.detail = worker.catalogue, worker.detail
        record.loaded = worker.loaded
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
        if known is not None and known.agent != agent and now - known.heartbeat_ms < CLAIM_MS:
            self._claim_too(agent, known, now, news)
            return
        gpu = replace(gpu, rival=self._rival(agent, known, now, news))
        if gpu.rival:
            gpu = replace(gpu, state=GpuState.SUSPECT)
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

    def _claim_too(self, agent: str, known: Gpu, now: int, news: _News) -> None:
        """Each counts the other's workers as foreign: neither's figures can be believed."""
        if known.rival != agent:
            news.tell("", known.id, "gpu_claimed_twice")
        self.rival_ms[known.id] = now
        self.gpus[known.id] = replace(known, rival=agent, state=GpuState.SUSPECT)
        news.rivals[known.id] = known.agent

    def _rival(self, agent: str, known: Gpu | None, now: int, news: _News) -> str:
        """Who else claims the agent's GPU."""
        if known is None or not known.rival:
            return ""
        if known.rival == agent or now - self.rival_ms[known.id] >= CLAIM_MS:
            self.rival_ms.pop(known.id, None)
            return ""
        news.rivals[known.id] = known.rival
        return known.rival

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
                self.formers.pop(agent_id, None)
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
