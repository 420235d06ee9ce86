"""One GPU that several ComfyUI processes share: who slows whom, who gets which memory.

Implements the world's ``Machine``. The formula and how well it meets what was measured:
``docs/decisions/0009-how-a-shared-gpu-is-modelled.md``.

* Busy processes share the GPU; each one's rate changes whenever another one starts or ends
  (``physics``).
* A process keeps one checkpoint: a job with another one unloads it first, as ComfyUI does.
* Without a limit, a job takes what it wants if the card has it, else what the card has left:
  then it offloads, runs as long as its curve says, and below its least measured step it
  ends out of memory. With a limit (``Grant.bytes``) it takes the fastest step within it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scheduler.ledger_values import Ending, Grant, Report
from scheduler.states import (
    Agent,
    Gpu,
    GpuState,
    MemoryLimit,
    MemorySource,
    Worker,
    WorkerState,
)
from simulator.mix import physics
from simulator.mix.cases import Case
from simulator.mix.process import Attempt, Phase, Process, Release
from simulator.world.machine import Ended, Happened, Released, Work

AGENT: Final = "host"
GPU: Final = "host-gpu0"
#: a stage with less left than this is done
_NOTHING_LEFT: Final = 1e-9


@dataclass(slots=True)
class Marks:
    """What ComfyUI's logs would count."""

    #: checkpoints that did not fit whole
    partial_loads: int = 0
    #: jobs that got less memory than they wanted, and no limit had said so
    squeezed: int = 0
    out_of_memory: int = 0


class SharedGpu:
    """A card with some workers; times are seconds since it began."""

    def __init__(
        self,
        cases: Mapping[str, Case],
        *,
        total_bytes: int,
        workers: int,
        context_bytes: int,
        limit: MemoryLimit,
        first_use_seconds: float = physics.FIRST_USE_SECONDS,
    ) -> None:
        """Idle workers ``host-0``, ``host-1``, … with nothing loaded.

        Args:
            cases: what jobs may be, by the kind of their ``Work``.
            total_bytes: size of the card.
            workers: how many processes.
            context_bytes: device memory of a process beside torch's.
            limit: ENFORCED and TOLD workers keep to what they are granted and give back
                torch's cache after a job; OBSERVED ones do neither.
            first_use_seconds: that the first job of a process takes longer.
        """
        self._cases = cases
        self._total = total_bytes
        self._limit = limit
        names = [f"{AGENT}-{number}" for number in range(workers)]
        self._processes = {name: Process(name, context_bytes, first_use_seconds) for name in names}
        self._now = 0.0
        self._told: list[Happened] = []
        self._changed = True
        self.marks = Marks()
        #: most bytes ever in use
        self.peak_bytes = self._used()
        #: checkpoints loaded, and memory given back on request
        self.loads = 0
        self.releases = 0

    @property
    def workers(self) -> Sequence[str]:
        """Ids of its workers."""
        return list(self._processes)

    # ── what a world asks for ────────────────────────────────────────────────

    def start(self, now: float, worker: str, work: Work, grant: Grant) -> None:
        """Begin an attempt on an idle worker."""
        self._pass_time(now)
        one, case = self._processes[worker], self._cases[work.kind]
        limited = self._limit is not MemoryLimit.OBSERVED and grant.bytes > 0
        attempt = Attempt(
            work=work,
            case=case,
            started=now,
            stages=one.stages_for(case),
            limit_bytes=grant.bytes if limited else None,
            warm=one.model is case.model,
        )
        if not attempt.warm:
            one.drop_model()
        one.task, one.used_before = attempt, True
        self._told += self._begin(one, attempt)

    def interrupt(self, now: float, worker: str) -> None:
        """Break the worker's attempt off; what it has loaded stays."""
        self._pass_time(now)
        one = self._processes[worker]
        if isinstance(one.task, Attempt):
            self._told.append(self._end(one, one.task, Ending.RETURNED))

    def release(self, now: float, worker: str) -> None:
        """Make an idle worker give its residency back."""
        self._pass_time(now)
        one = self._processes[worker]
        observed = self._limit is MemoryLimit.OBSERVED
        one.task = Release(physics.FREE_SECONDS if observed else physics.release_seconds(one.model))
        self.releases += 1
        self._changed = True

    def next_event(self) -> float | None:
        """When the next stage of any worker ends."""
        if self._told:
            return self._now
        left = [one.seconds_left(self._others(one)) for one in self._processes.values()]
        soonest = min((seconds for seconds in left if seconds is not None), default=None)
        return None if soonest is None else self._now + soonest

    def advance(self, now: float) -> Sequence[Happened]:
        """Let time pass and end what ends by then."""
        happened, self._told = self._told, []
        while (at := self.next_event()) is not None and at <= now:
            self._pass_time(at)
            for one in self._processes.values():
                happened += self._proceed(one)
        self._pass_time(now)
        return happened

    def reports(self) -> Sequence[Report]:
        """The host's heartbeat, if anything changed since the last one."""
        if not self._changed:
            return []
        self._changed = False
        agent = Agent(id=AGENT, url="", version="", heartbeat_ms=0)
        workers = [self._worker(one) for one in self._processes.values()]
        return [Report(agent=agent, workers=workers, gpus=[self._gpu()])]

    # ── time ─────────────────────────────────────────────────────────────────

    def _others(self, one: Process) -> int:
        return sum(other.busy for other in self._processes.values() if other is not one)

    def _pass_time(self, to: float) -> None:
        passed = to - self._now
        if passed <= 0:
            return
        others = {one.id: self._others(one) for one in self._processes.values()}
        for one in self._processes.values():
            one.work_for(passed, others[one.id])
        self._now = to

    def _proceed(self, one: Process) -> list[Happened]:
        """Go on to the next stage if one is done."""
        match one.task:
            case Release(left) if left <= _NOTHING_LEFT:
                one.drop_model()
                one.task = None
                self._changed = True
                return [Released(one.id, one.used_bytes)]
            case Attempt() if one.task.stages[0].left <= _NOTHING_LEFT:
                return self._next_stage(one, one.task)
            case _:
                return []

    def _next_stage(self, one: Process, attempt: Attempt) -> list[Happened]:
        done = attempt.stages.pop(0)
        if done.phase is Phase.LOAD:
            one.model = attempt.case.model
            one.pool_bytes = min(one.model.bytes, self._room(one, attempt))
            self.loads += 1
            self.marks.partial_loads += one.pool_bytes < one.model.bytes
        if not attempt.stages:
            return [self._end(one, attempt, Ending.SUCCEEDED)]
        return self._begin(one, attempt)

    # ── memory ───────────────────────────────────────────────────────────────

    def _used(self) -> int:
        return sum(one.used_bytes for one in self._processes.values())

    def _room(self, one: Process, attempt: Attempt) -> int:
        """Bytes that its pool may have."""
        room = self._total - self._used() + one.pool_bytes
        if attempt.limit_bytes is not None:
            room = min(room, attempt.limit_bytes - one.context_bytes)
        return max(0, room)

    def _begin(self, one: Process, attempt: Attempt) -> list[Happened]:
        """A stage begins; a run takes its memory."""
        self._changed = True
        if attempt.phase is not Phase.RUN:
            return []
        case = attempt.case
        one.trim_if_tight(self._total - self._used())
        room = self._room(one, attempt)
        taken, attempt.stretch = step_within(case, room + one.context_bytes, one.context_bytes)
        if not taken:
            self.marks.out_of_memory += 1
            one.drop_model()
            return [self._end(one, attempt, Ending.OOM)]
        if attempt.limit_bytes is None:
            self.marks.squeezed += taken < case.need_bytes
        one.pool_bytes = max(min(one.pool_bytes, room), taken - one.context_bytes)
        self.peak_bytes = max(self.peak_bytes, self._used())
        return []

    def _end(self, one: Process, attempt: Attempt, ending: Ending) -> Ended:
        peak = one.used_bytes
        one.task = None
        self._changed = True
        if ending is Ending.SUCCEEDED:
            one.shapes.add(attempt.case.name)
        if self._limit is not MemoryLimit.OBSERVED:
            one.trim()
        return Ended(
            worker=one.id,
            job=attempt.work.job,
            attempt=attempt.work.attempt,
            ending=ending,
            seconds=self._now - attempt.started,
            load_seconds=attempt.load_seconds,
            peak_bytes=peak,
            warm=attempt.warm,
        )

    # ── what the agent tells ─────────────────────────────────────────────────

    def _gpu(self) -> Gpu:
        return Gpu(
            id=GPU,
            agent=AGENT,
            index=0,
            name="simulated",
            total_bytes=self._total,
            used_bytes=self._used(),
            foreign_bytes=0,
            state=GpuState.READY,
            memory_source=MemorySource.NVML,
        )

    def _worker(self, one: Process) -> Worker:
        releasing = isinstance(one.task, Release)
        return Worker(
            id=one.id,
            agent=AGENT,
            gpu=GPU,
            state=WorkerState.RELEASING if releasing else WorkerState.READY,
            used_bytes=one.used_bytes,
            models=_models(one),
            has_probe=True,
            limit=self._limit,
        )


def step_within(case: Case, most: int, context: int) -> tuple[int, float]:
    """Bytes a case takes of so many and how much longer it runs; 0: it does not run at all.

    A case of which no steps were measured runs where its weights fit, as fast as ever.
    """
    if case.need_bytes <= most:
        return case.need_bytes, 1.0
    within = [step for step in case.curve if step.bytes <= most]
    if within:
        best = min(within, key=lambda step: step.seconds)
        return best.bytes, best.seconds / case.run_seconds
    return (most, 1.0) if not case.curve and most >= context + case.model.bytes else (0, 1.0)


def _models(one: Process) -> tuple[str, ...]:
    """What it holds, or will once it has loaded."""
    if isinstance(one.task, Attempt):
        return one.task.work.models
    return (one.model.name,) if one.model is not None else ()
