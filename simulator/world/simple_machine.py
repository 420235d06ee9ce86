"""GPUs whose workers do not slow each other: models stay loaded, cold starts cost their load.

A worker that starts a job drops its least recently used models until the job's
whole footprint fits beside what other workers of the GPU hold, as ComfyUI does
when the card is full. A job that is promised less than its peak keeps within the
promise and takes longer in proportion: it offloads. (On an H200, SDXL ×4 took 1.2
times as long in 0.7 of its peak, and 4 times in 0.5: a rough mean of the two.)
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from scheduler.ledger_values import Ending, Grant, Report
from scheduler.states import Agent, Gpu, GpuState, MemorySource, Worker, WorkerState
from simulator.world.machine import Ended, Happened, Released, Work
from simulator.world.nodes import Node
from simulator.world.residency import Residency

#: what a process holds with no model loaded: its CUDA context, as measured on an H200
CONTEXT_BYTES: Final = int(1.36 * 2**30)
#: from the order to the memory being back: 0.35–0.5 s on an H200, no weights to move
RELEASE_SECONDS: Final = 0.5


@dataclass(slots=True)
class Process:
    """One process: what it holds and what it does."""

    id: str
    agent: str
    gpu: str
    residency: Residency = field(default_factory=Residency)
    work: Work | None = None
    started: float = 0.0
    load_seconds: float = 0.0
    peak: int = 0
    warm: bool = False
    #: bytes beside its models
    extra: int = CONTEXT_BYTES
    releasing: bool = False
    down: bool = False
    #: grows with all that it is told: fences what was scheduled before
    turn: int = 0

    @property
    def used_bytes(self) -> int:
        """Device bytes of the process."""
        return 0 if self.down else self.residency.bytes + self.extra


class SimpleMachine:
    """Nodes of GPUs without interference; implements ``Machine`` and ``Breakable``."""

    def __init__(self, nodes: Sequence[Node], workers_per_gpu: int) -> None:
        self._nodes = {node.id: node for node in nodes}
        self._total = {gpu: node.vram_bytes for node in nodes for gpu in node.gpus}
        self._foreign = dict.fromkeys(self._total, 0)
        self._workers: dict[str, Process] = {}
        self._on: dict[str, list[Process]] = {gpu: [] for gpu in self._total}
        self._events: list[tuple[float, str, int]] = []
        self._told: list[Happened] = []
        self._changed = dict.fromkeys(self._nodes)
        #: most bytes by which a GPU's workers and foreign processes ever exceeded it
        self.overcommit_bytes = 0
        for node in nodes:
            slots = [gpu for gpu in node.gpus for _ in range(node.workers or workers_per_gpu)]
            for number, gpu in enumerate(slots):
                worker = Process(f"{node.id}-{number}", node.id, gpu)
                self._workers[worker.id] = worker
                self._on[gpu].append(worker)

    # ── what a world asks for ────────────────────────────────────────────────

    def start(self, now: float, worker: str, work: Work, grant: Grant) -> None:
        """Begin an attempt; models that are missing are loaded first."""
        one = self._workers[worker]
        one.work, one.started = work, now
        one.warm = one.residency.holds(work.models)
        one.load_seconds = work.load_seconds * _missing(one.residency, work)
        one.peak = min(work.peak_bytes, grant.bytes) if grant.bytes else work.peak_bytes
        most = max(0, one.peak - CONTEXT_BYTES)
        for model, size in zip(work.models, work.model_bytes, strict=True):
            one.residency.use(model, min(size, most))
            most -= min(size, most)
        one.extra = CONTEXT_BYTES + most
        one.residency.shrink(self._room(one) - one.extra, keep=work.models)
        self._note_overcommit(one.gpu)
        run_seconds = work.run_seconds * work.peak_bytes / one.peak
        self._schedule(one, now + one.load_seconds + run_seconds)

    def interrupt(self, now: float, worker: str) -> None:
        """Break the worker's attempt off; its models stay."""
        one = self._workers[worker]
        if one.work is not None:
            self._told.append(self._end(one, one.work, now, Ending.RETURNED))
            one.turn += 1

    def release(self, now: float, worker: str) -> None:
        """Make an idle worker drop all its models."""
        one = self._workers[worker]
        one.releasing = True
        self._schedule(one, now + RELEASE_SECONDS)

    def next_event(self) -> float | None:
        """When the next attempt or release ends."""
        if self._told:
            return 0.0
        while self._events:
            at, worker, turn = self._events[0]
            if self._workers[worker].turn == turn:
                return at
            heapq.heappop(self._events)
        return None

    def advance(self, now: float) -> list[Happened]:
        """End what ends by now."""
        happened, self._told = self._told, []
        while (at := self.next_event()) is not None and at <= now:
            _, worker, _ = heapq.heappop(self._events)
            happened.append(self._finish(self._workers[worker], at))
        return happened

    # ── what may break (``Breakable``) ───────────────────────────────────────

    def lose(self, agent: str) -> None:
        """The host stops: its attempts end nowhere, its memory is gone."""
        for one in self._of(agent):
            one.down, one.work, one.releasing = True, None, False
            one.residency.clear()
            one.turn += 1
        self._changed[agent] = None

    def recover(self, agent: str) -> None:
        """The host is back, with empty workers."""
        for one in self._of(agent):
            one.down, one.extra = False, CONTEXT_BYTES
        self._changed[agent] = None

    def occupy(self, gpu: str, foreign_bytes: int) -> None:
        """Processes that are not ours now hold so much of the GPU."""
        self._foreign[gpu] = foreign_bytes
        self._changed[self._on[gpu][0].agent] = None

    # ── inside ───────────────────────────────────────────────────────────────

    def _of(self, agent: str) -> list[Process]:
        return [one for gpu in self._nodes[agent].gpus for one in self._on[gpu]]

    def _room(self, worker: Process) -> int:
        others = sum(other.used_bytes for other in self._on[worker.gpu] if other is not worker)
        return self._total[worker.gpu] - self._foreign[worker.gpu] - others

    def _note_overcommit(self, gpu: str) -> None:
        used = sum(worker.used_bytes for worker in self._on[gpu])
        self.overcommit_bytes = max(
            self.overcommit_bytes, used + self._foreign[gpu] - self._total[gpu]
        )

    def _schedule(self, worker: Process, at: float) -> None:
        worker.turn += 1
        heapq.heappush(self._events, (at, worker.id, worker.turn))
        self._changed[worker.agent] = None

    def _finish(self, worker: Process, at: float) -> Happened:
        if worker.work is not None:
            return self._end(worker, worker.work, at, Ending.SUCCEEDED)
        worker.releasing = False
        worker.residency.clear()
        self._changed[worker.agent] = None
        return Released(worker.id, worker.used_bytes)

    def _end(self, worker: Process, work: Work, at: float, ending: Ending) -> Ended:
        worker.work, worker.extra = None, CONTEXT_BYTES
        self._changed[worker.agent] = None
        seconds = at - worker.started
        return Ended(
            worker=worker.id,
            job=work.job,
            attempt=work.attempt,
            ending=ending,
            seconds=seconds,
            load_seconds=min(worker.load_seconds, seconds),
            peak_bytes=worker.peak,
            warm=worker.warm,
        )

    # ── what agents tell ─────────────────────────────────────────────────────

    def reports(self) -> list[Report]:
        """Heartbeats of hosts whose figures changed since the last call."""
        changed, self._changed = self._changed, {}
        return [self._report(self._nodes[agent]) for agent in changed]

    def _report(self, node: Node) -> Report:
        return Report(
            agent=Agent(id=node.id, url="", version="", heartbeat_ms=0),
            workers=[_told(one) for gpu in node.gpus for one in self._on[gpu]],
            gpus=[self._gpu(node, index, gpu) for index, gpu in enumerate(node.gpus)],
        )

    def _gpu(self, node: Node, index: int, gpu: str) -> Gpu:
        used = sum(worker.used_bytes for worker in self._on[gpu])
        return Gpu(
            id=gpu,
            agent=node.id,
            index=index,
            name=node.model,
            total_bytes=node.vram_bytes,
            used_bytes=used + self._foreign[gpu],
            foreign_bytes=self._foreign[gpu],
            state=GpuState.READY,
            memory_source=MemorySource.NVML,
        )


def _missing(residency: Residency, work: Work) -> float:
    """Share of the work's models that is not loaded, by bytes, 0–1."""
    sizes = dict(zip(work.models, work.model_bytes, strict=True))
    absent = sum(size for model, size in sizes.items() if not residency.holds((model,)))
    return absent / sum(sizes.values()) if absent else 0.0


def _told(worker: Process) -> Worker:
    state = WorkerState.RELEASING if worker.releasing else WorkerState.READY
    return Worker(
        id=worker.id,
        agent=worker.agent,
        gpu=worker.gpu,
        state=WorkerState.DOWN if worker.down else state,
        used_bytes=worker.used_bytes,
        models=worker.residency.names,
        has_probe=True,
    )
