"""Where jobs may run: one plan's picture of GPUs, workers and what they hold (pure).

All figures are bytes of device footprint. A GPU's *capacity* is what may be
promised: ``total − foreign − safety``. Each worker *holds* the larger of what
its process occupies and what its job was promised. A job fits on a worker when
its need and the holds of the GPU's *other* workers stay within the capacity.

``Card`` is a GPU and ``Seat`` a worker while one plan is made: they keep sums up
to date as the plan admits jobs and starts releases, so that each question costs
no more than a few additions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from scheduler.loading import loaded_bytes
from scheduler.sharing import hold_beside_load
from scheduler.states import Gpu, GpuState, Job, Snapshot, Worker, WorkerState
from scheduler.whole import WholeGpus

#: What an idle ComfyUI process holds with no model loaded, at most: its CUDA context (0.7 GiB
#: after a release on an H200) and what kernels and workspaces add (1.2 GiB were seen).
BASE_BYTES: Final = 1536 * 2**20
#: A load is taken to be over after so many times its expected seconds: some models never come
#: to the GPU whole.
_LOAD_PATIENCE: Final = 4.0
#: An overdue job is taken to run at least so long yet.
_OVERDUE_MS: Final = 500
#: A job of which nothing is known is taken to run for so long yet.
_UNKNOWN_END_MS: Final = 10_000
#: A release that gives back less is not worth its time.
_WORTH_BYTES: Final = 64 * 2**20


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


class Card:
    """One GPU in a plan's picture."""

    __slots__ = (
        "capacity",
        "free",
        "gpu",
        "heard",
        "hold",
        "holding",
        "loading",
        "promised",
        "seats",
    )

    def __init__(self, gpu: Gpu, capacity: int, since_ms: int) -> None:
        self.gpu = gpu
        #: its figures are fresh and can be believed
        self.heard = gpu.state is GpuState.READY and gpu.heartbeat_ms >= since_ms
        self.capacity = capacity
        #: bytes that NVML shows free and that may be promised
        self.free = capacity - max(0, gpu.used_bytes - gpu.foreign_bytes)
        self.seats: list[Seat] = []
        #: sum of the seats' holds, and of what was promised to jobs and not yet taken
        self.hold = 0
        self.promised = 0
        #: jobs that are loading models now
        self.loading = 0
        #: one of them would take much longer if anything else started now
        self.holding = False

    def add(self, seat: Seat) -> None:
        """Count one of its workers."""
        self.seats.append(seat)
        used, reserved = seat.used, seat.reserved
        if reserved > used:
            self.hold += reserved
            self.promised += reserved - used
        else:
            self.hold += used

    def load(self, holds: bool) -> None:
        """Count a job that loads; ``holds``: nothing else should start meanwhile."""
        self.loading += 1
        self.holding = self.holding or holds

    @property
    def contexts(self) -> int:
        """What all workers but one hold at least with nothing loaded: no release gives that back."""
        return BASE_BYTES * max(0, len(self.seats) - 1)

    @property
    def leftovers(self) -> int:
        """What all workers but one held after their last release: with luck that passes."""
        floors = [seat.floor for seat in self.seats]
        return sum(floors) - min(floors, default=0)

    @property
    def running(self) -> int:
        """Jobs on it."""
        return sum(1 for seat in self.seats if seat.job)


class Seat:
    """One worker in a plan's picture."""

    __slots__ = (
        "_ends",
        "_now_ms",
        "_running",
        "card",
        "floor",
        "heard",
        "job",
        "models",
        "order",
        "reserved",
        "state",
        "used",
        "worker",
    )

    def __init__(
        self, worker: Worker, card: Card | None, floor: int, *, heard: bool, now_ms: int
    ) -> None:
        self.worker = worker
        self.card = card
        self.state = worker.state
        self.job = worker.job
        self.models = worker.models
        self.used = worker.used_bytes
        self.reserved = worker.reserved_bytes
        #: what it would hold after a release
        self.floor = max(BASE_BYTES, floor)
        #: its agent reports, and its GPU's figures can be believed
        self.heard = heard
        self._now_ms = now_ms
        self._running: Job | None = None
        #: expected and late end of its job, once somebody has asked
        self._ends: tuple[int, int] | None = None
        #: place among all seats, for ties
        self.order = 0

    @property
    def ends_ms(self) -> int:
        """Expected end of its job, server time; 0 without one."""
        return (self._ends or self._work_out_ends())[0]

    @property
    def late_ms(self) -> int:
        """The end that its job hardly ever exceeds, server time; 0 without one."""
        return (self._ends or self._work_out_ends())[1]

    def runs(self, job: Job) -> None:
        """Tell it what is known of its job."""
        self._running = job

    def _work_out_ends(self) -> tuple[int, int]:
        job = self._running
        if job is None:
            unknown = self._now_ms + _UNKNOWN_END_MS if self.job else 0
            ends = (unknown, unknown)
        else:
            load, expected = job.granted_load_seconds, job.granted_seconds or job.need_seconds
            late = load + max(job.late_seconds, expected - load)
            began = job.started_ms or job.admitted_ms
            ends = (_end(began, expected, self._now_ms), _end(began, late, self._now_ms))
        self._ends = (ends[0], max(ends))
        return self._ends

    @property
    def hold(self) -> int:
        """Bytes that nobody else may count on."""
        return self.used if self.used > self.reserved else self.reserved

    @property
    def promised(self) -> int:
        """Bytes that its job was promised and has not taken yet."""
        return self.reserved - self.used if self.reserved > self.used else 0

    @property
    def headroom(self) -> int:
        """Bytes a job here may be promised: the smaller of two views; the seat has a card.

        The ledger's view counts holds; NVML's view counts what is free now
        less what running jobs were promised and have not taken yet.
        """
        card = self.card
        if card is None:
            return 0
        ledger = card.capacity - card.hold + self.hold
        device = card.free + self.used - card.promised + self.promised
        return ledger if ledger < device else device

    @property
    def releasable(self) -> bool:
        """Idle, and holds more than it would after a release."""
        return (
            self.state is WorkerState.READY
            and self.heard
            and not self.job
            and self.card is not None
            and self.used > self.floor + _WORTH_BYTES
        )

    @property
    def sole(self) -> bool:
        """Its GPU has no other worker."""
        return self.card is not None and len(self.card.seats) == 1

    @property
    def alone(self) -> bool:
        """No other worker of its GPU holds, or may come to hold, more than an empty process."""
        card = self.card
        if card is None:
            return True
        return all(
            seat is self or (not seat.job and seat.hold <= seat.floor + _WORTH_BYTES)
            for seat in card.seats
        )

    def take(self, job: Job, bytes_: int, ends_ms: int, late_ms: int) -> None:
        """Picture a job admitted here."""
        card = self.card
        if card is not None:
            card.hold -= self.hold
            card.promised -= self.promised
        self.job, self.reserved = job.id, bytes_
        if card is not None:
            card.hold += self.hold
            card.promised += self.promised
        self._ends = (ends_ms, late_ms)
        missing = tuple(model for model in self.models if model not in job.models)
        self.models = (*job.models, *missing)

    def start_release(self) -> None:
        """Picture a release under way: the bytes still count."""
        self.state = WorkerState.RELEASING


def _end(began_ms: int, seconds: float, now_ms: int) -> int:
    """When a job should end; one that is overdue is taken to need as long again as it is late."""
    end = began_ms + int(seconds * 1000)
    return end if end > now_ms else 2 * now_ms - end + _OVERDUE_MS


class Room:
    """All cards and seats of one plan."""

    def __init__(
        self,
        snapshot: Snapshot,
        now_ms: int,
        safety: Safety,
        *,
        floors: Mapping[str, int] | None = None,
        heartbeat_ms: int = 10_000,
        resigned_ms: int = 600_000,
    ) -> None:
        """Picture a snapshot.

        Args:
            snapshot: the pool as the ledger knows it.
            now_ms: server time.
            safety: what is never promised.
            floors: bytes that a worker still held after its last release.
            heartbeat_ms: what has been silent for longer takes no job; its holds count.
            resigned_ms: after so long a job no longer waits for other processes to leave, and
                none for a GPU that has been silent for so long.
        """
        self._now_ms = now_ms
        since = now_ms - heartbeat_ms
        self._since = since
        sizes: dict[tuple[int, int], int] = {}
        for gpu in snapshot.gpus:
            size = (gpu.total_bytes, gpu.foreign_bytes)
            if size not in sizes:
                sizes[size] = capacity_bytes(gpu, safety)
        self.cards = {
            gpu.id: Card(gpu, sizes[gpu.total_bytes, gpu.foreign_bytes], since)
            for gpu in snapshot.gpus
        }
        self.seats: dict[str, Seat] = {}
        known = floors or {}
        for worker in snapshot.workers:
            self._seat(worker, known.get(worker.id, 0), since)
        for job in snapshot.active.values():
            self._run(job)
        self.whole = WholeGpus(
            self.cards,
            lambda card: empty_capacity_bytes(card.gpu, safety),
            reports_since_ms=since,
            resigned_at_ms=now_ms - resigned_ms,
        )

    def _seat(self, worker: Worker, floor: int, since: int) -> None:
        card = self.cards.get(worker.gpu) if worker.gpu else None
        heard = worker.heartbeat_ms >= since
        if worker.gpu:
            heard = heard and card is not None and card.heard
        seat = Seat(worker, card, floor, heard=heard, now_ms=self._now_ms)
        seat.order = len(self.seats)
        self.seats[worker.id] = seat
        if card is not None:
            card.add(seat)

    def _run(self, job: Job) -> None:
        seat = self.seats.get(job.worker)
        if seat is None:
            return
        seat.runs(job)
        load = job.granted_load_seconds
        if seat.card is not None and load and self._is_loading(job, seat, load):
            seat.card.load(hold_beside_load(job, load))

    def _is_loading(self, job: Job, seat: Seat, load: float) -> bool:
        """Its process does not hold yet what the job's models take, and that may be so."""
        began_ms = job.started_ms or job.admitted_ms
        if seat.worker.loaded == job.id or began_ms + load * _LOAD_PATIENCE * 1000 <= self._now_ms:
            return False
        enough = loaded_bytes(job)
        return seat.used < enough if enough else began_ms + load * 1000 > self._now_ms

    def up(self, *, needs_gpu: bool) -> list[Seat]:
        """Seats for such a job that run and whose agent reports, busy ones included.

        One on the CPU counts only where no GPU is needed or the pool has none.
        """
        seats = self.seats.values()
        up = [
            seat
            for seat in seats
            if seat.state is not WorkerState.DOWN and seat.worker.heartbeat_ms >= self._since
        ]
        if needs_gpu and any(seat.worker.gpu for seat in seats):
            return [seat for seat in up if seat.worker.gpu]
        return up

    def idle(self) -> list[Seat]:
        """Seats that could take a job now."""
        return [
            seat
            for seat in self.seats.values()
            if not seat.job and seat.heard and seat.state is WorkerState.READY
        ]
