"""What loading models costs, and who has them loaded already (pure).

Loading is the dominant waste of such pools: 22.7 s in the median of a public
trace where a whole picture takes 15.1 s (research 1). So each placement asks what
must be loaded there, what must be thrown out for it, and whether a worker that
has it all is free sooner than loading takes (delay scheduling, EuroSys'10).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from scheduler.placement import Seat
from scheduler.plan_config import Demand
from scheduler.states import Job

#: Load time of models of which nothing is known, seconds (SDXL from disk: 5.4 measured).
UNKNOWN_LOAD_SECONDS: Final = 5.0
#: A model that is asked for again within so long would better have stayed, seconds.
_HORIZON_S: Final = 900.0
#: Bytes of a loaded model of which nothing is known (an SDXL checkpoint).
_UNKNOWN_BYTES: Final = 6_938_041_144


def main_model(job: Job) -> str:
    """The model that decides where the job is warm: its largest; "" without models."""
    models = job.models
    if len(models) < 2:
        return models[0] if models else ""
    sizes = job.model_bytes
    if len(sizes) != len(models):
        return models[0]
    return models[max(range(len(models)), key=lambda n: sizes[n])]


def load_seconds(job: Job, loaded: Iterable[str]) -> float:
    """Seconds to load what the job needs and ``loaded`` does not have.

    A part of the models takes its share of the whole time: by bytes where all
    sizes are known, else by number.
    """
    models = job.models
    if not models:
        return 0.0
    there = set(loaded)
    missing = [n for n, model in enumerate(models) if model not in there]
    if not missing:
        return 0.0
    whole = job.load_seconds or UNKNOWN_LOAD_SECONDS
    if len(missing) == len(models):
        return whole
    sizes = job.model_bytes
    if len(sizes) == len(models) and all(sizes):
        return whole * sum(sizes[n] for n in missing) / sum(sizes)
    return whole * len(missing) / len(models)


class Warmth:
    """Who has which model, while one plan is made."""

    def __init__(
        self,
        seats: Iterable[Seat],
        idle: Iterable[Seat],
        demand: Mapping[str, Demand],
        waiting: Callable[[], Iterable[Job]],
    ) -> None:
        """Index the seats.

        Args:
            seats: all of the pool.
            idle: those of them that could take a job now.
            demand: what is asked for how often, by model.
            waiting: tells the jobs that this plan sees; asked only when it matters.
        """
        self._demand = demand
        self._waiting = waiting
        self._seats = list(seats)
        #: model → idle seats that have it
        self.idle: dict[str, list[Seat]] = {}
        self._queued: dict[str, float] | None = None
        self._copies: dict[str, int] | None = None
        self._free_ms: dict[str, list[int]] = {}
        self._first_ms: dict[str, int | None] = {}
        for seat in idle:
            for model in seat.models:
                self.idle.setdefault(model, []).append(seat)

    def taken(self, seat: Seat) -> None:
        """Count a seat that was idle as busy, with what its new job loads."""
        for model in seat.models:
            seats = self.idle.get(model)
            if seats and seat in seats:
                seats.remove(seat)
            elif self._copies is not None:
                self._copies[model] = self._copies.get(model, 0) + 1
            self._first_ms.pop(model, None)
            if model in self._free_ms:
                heapq.heappush(self._free_ms[model], seat.ends_ms)

    def last_start(self, model: str, jobs: int, seconds: float) -> int | None:
        """When the last of so many jobs could start if all waited for seats that have the model.

        Those who decided to wait for one of them before count (``claim``).

        Args:
            model: what busy seats must have.
            jobs: how many would wait, at least 1.
            seconds: how long each runs.

        Returns:
            Server time; None: no busy seat has the model.
        """
        heap = list(self._heap(model))
        if not heap:
            return None
        for _ in range(jobs - 1):
            heapq.heapreplace(heap, heap[0] + int(seconds * 1000))
        return heap[0]

    def first_end(self, model: str) -> int | None:
        """When the first busy seat that has the model should be free, whoever waits for it.

        Returns:
            Server time; None: no busy seat has the model.
        """
        if model not in self._first_ms:
            ends = (s.ends_ms for s in self._seats if s.job and s.heard and model in s.models)
            self._first_ms[model] = min(ends, default=None)
        return self._first_ms[model]

    def claim(self, model: str, jobs: int, seconds: float) -> None:
        """So many jobs wait for those seats and will run there for so long each."""
        heap = self._heap(model)
        for _ in range(jobs if heap else 0):
            heapq.heapreplace(heap, heap[0] + int(seconds * 1000))

    def _heap(self, model: str) -> list[int]:
        heap = self._free_ms.get(model)
        if heap is None:
            heap = [s.ends_ms for s in self._seats if s.job and s.heard and model in s.models]
            heapq.heapify(heap)
            self._free_ms[model] = heap
        return heap

    def pressure(self, model: str) -> float:
        """Waiting work for each worker that has the model, one more counted; seconds."""
        return self._asked().get(model, 0.0) / (1 + self._counted().get(model, 0))

    def loss(self, seat: Seat, bytes_: int, kept: Iterable[str] = ()) -> float:
        """Expected seconds of loading again, when the seat has to give up so many bytes of models.

        ComfyUI gives up what was used longest ago first.

        Args:
            seat: a worker.
            bytes_: what must go; 0 or less: nothing is lost.
            kept: models that stay whatever happens.
        """
        if bytes_ <= 0 or not seat.models:
            return 0.0
        lost, left = 0.0, bytes_
        staying = set(kept)
        for model in reversed(seat.models):
            if model in staying:
                continue
            if left <= 0:
                break
            lost += self.value(model)
            known = self._demand.get(model)
            left -= known.bytes if known and known.bytes else _UNKNOWN_BYTES
        return lost

    def value(self, model: str) -> float:
        """Seconds that keeping one copy of a model saves: chance of use × load time.

        The chance that this copy is asked for within the horizon, requests
        being independent and spread over the copies (GreedyDual-Size's idea with a
        rate in place of a clock).
        """
        known = self._demand.get(model)
        load = known.load_seconds if known and known.load_seconds else UNKNOWN_LOAD_SECONDS
        copies = max(1, self._counted().get(model, 1))
        if self._asked().get(model, 0.0) >= load * copies:
            return load
        rate = known.rate if known else 0.0
        return load * -math.expm1(-rate * _HORIZON_S / copies)

    def dropped(self, seat: Seat, models: Iterable[str]) -> None:
        """Forget models that a seat gives up."""
        for model in models:
            if self._copies is not None:
                self._copies[model] = max(0, self._copies.get(model, 0) - 1)
            seats = self.idle.get(model)
            if seats and seat in seats:
                seats.remove(seat)

    def _counted(self) -> dict[str, int]:
        """Copies of each model in the pool."""
        if self._copies is None:
            self._copies = {}
            for seat in self._seats:
                for model in seat.models:
                    self._copies[model] = self._copies.get(model, 0) + 1
        return self._copies

    def _asked(self) -> dict[str, float]:
        """Seconds of waiting work by main model."""
        if self._queued is None:
            self._queued = {}
            for job in self._waiting():
                model = main_model(job)
                self._queued[model] = self._queued.get(model, 0.0) + job.need_seconds
        return self._queued
