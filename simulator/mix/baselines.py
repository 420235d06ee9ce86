"""Three simple ways to run a list of jobs, as they were measured on the GPU.

None of them knows a ledger or a plan. ``by_peaks`` does what the measured driver did: one
queue, first fit under a cap by known peaks, idle workers told to free when that makes room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from scheduler.ledger_values import Ending, Grant
from simulator.mix import physics
from simulator.mix.cases import Case
from simulator.mix.shared_gpu import SharedGpu
from simulator.world.machine import Ended, Work

_GIB: Final = 2**30
_NOTHING: Final = Grant(bytes=0, capacity_bytes=0)


@dataclass(slots=True)
class Outcome:
    """How a list of jobs went."""

    makespan_seconds: float = 0.0
    failed: int = 0
    #: in the order in which they ended
    ended: list[tuple[float, Ended]] = field(default_factory=list)

    def note(self, at: float, one: Ended) -> None:
        """One more job has ended."""
        self.ended.append((at, one))
        self.failed += one.ending is not Ending.SUCCEEDED
        self.makespan_seconds = max(self.makespan_seconds, at)


def work_of(case: Case, job: str, attempt: int = 1) -> Work:
    """What a job of this case really takes."""
    return Work(
        job=job,
        attempt=attempt,
        kind=case.name,
        models=(case.model.name,),
        model_bytes=(case.model.bytes,),
        peak_bytes=case.need_bytes,
        run_seconds=case.run_seconds,
        load_seconds=0.0,
    )


def round_robin(gpu: SharedGpu, jobs: Sequence[Case]) -> Outcome:
    """The k-th job goes to worker ``k mod n``, each runs its own in order. One worker: FIFO."""
    lanes = {
        worker: list(enumerate(jobs))[number :: len(gpu.workers)]
        for number, worker in enumerate(gpu.workers)
    }
    outcome, now = Outcome(), 0.0
    idle = list(gpu.workers)
    while True:
        for worker in idle:
            if lanes[worker]:
                number, case = lanes[worker].pop(0)
                gpu.start(now, worker, work_of(case, str(number)), _NOTHING)
        at = gpu.next_event()
        if at is None:
            return outcome
        now, idle = at, []
        for one in gpu.advance(now):
            if isinstance(one, Ended):
                outcome.note(now, one)
                idle.append(one.worker)


#: what the measured driver let jobs have: the card less 0.5 GiB
_CAP_SLACK_BYTES: Final = _GIB // 2
#: what it took an empty worker to hold
_EMPTY_BYTES: Final = int(1.4 * _GIB)
#: waiting jobs that it looked at
_WINDOW: Final = 16


def by_peaks(gpu: SharedGpu, jobs: Sequence[Case], total_bytes: int) -> Outcome:
    """One queue, first fit under a cap by known peaks, as the measured driver did it."""
    return _ByPeaks(gpu, jobs, total_bytes - _CAP_SLACK_BYTES).run()


class _ByPeaks:
    """The driver's own books: it never asks the card."""

    def __init__(self, gpu: SharedGpu, jobs: Sequence[Case], cap_bytes: int) -> None:
        self._gpu = gpu
        self._waiting = list(enumerate(jobs))
        self._cap = cap_bytes
        self._now = 0.0
        self._idle = set(gpu.workers)
        self._held = dict.fromkeys(gpu.workers, _EMPTY_BYTES)
        self._resident: dict[str, str] = {}
        self._outcome = Outcome()

    def run(self) -> Outcome:
        while True:
            while self._start_some():
                pass
            if not self._wait():
                return self._outcome

    def _wait(self) -> bool:
        at = self._gpu.next_event()
        if at is None:
            return False
        self._now = at
        for one in self._gpu.advance(at):
            if isinstance(one, Ended):
                self._outcome.note(at, one)
                self._idle.add(one.worker)
        return True

    def _start_some(self) -> bool:
        started = False
        for number, case in self._waiting[:_WINDOW]:
            if self._idle and self._start(number, case):
                started = True
        return started

    def _start(self, number: int, case: Case) -> bool:
        worker = min(self._idle, key=lambda one: self._order(one, case))
        need = case.believed_bytes - _EMPTY_BYTES
        warm = self._resident.get(worker) == case.model.name
        mine = max(need, self._held[worker]) if warm else need
        others = sum(held for one, held in self._held.items() if one != worker)
        idle = sorted(
            (one for one in self._idle if one != worker and one in self._resident),
            key=lambda one: (-self._held[one], one),
        )
        if others - sum(self._held[one] - _EMPTY_BYTES for one in idle) + mine > self._cap:
            return False
        while sum(held for one, held in self._held.items() if one != worker) + mine > self._cap:
            self._free(idle.pop(0))
        self._idle.discard(worker)
        self._waiting.remove((number, case))
        self._held[worker], self._resident[worker] = mine, case.model.name
        self._gpu.start(self._now, worker, work_of(case, str(number)), _NOTHING)
        return True

    def _order(self, worker: str, case: Case) -> tuple[bool, bool, int, str]:
        resident = self._resident.get(worker)
        return (resident != case.model.name, resident is not None, -self._held[worker], worker)

    def _free(self, worker: str) -> None:
        """It waits for the memory and does nothing else."""
        self._gpu.release(self._now, worker)
        self._held[worker] = _EMPTY_BYTES
        del self._resident[worker]
        until = self._now + physics.FREE_SECONDS
        while self._now < until - 1e-6:
            self._wait()
