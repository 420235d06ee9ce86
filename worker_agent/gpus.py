"""Who holds what of each GPU: our workers, and everybody else.

*foreign* = what the device says is used − what our workers hold, at its
highest within a short window: upwards at once, downwards after it. All bytes
are device footprint.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from scheduler.states import Gpu, GpuState, MemorySource, Vitals
from worker_agent.nvml import GpuReader, GpuReading, GpuUnreadable

_log = structlog.get_logger(__name__)

#: what a process holds on the device beyond torch's own memory: 0.67 to 0.80 GiB,
#: measured with ComfyUI 0.3.64 and torch 2.11 on an H200
CONTEXT_BYTES: Final = int(0.8 * 2**30)
#: vitals change slowly, and reading them takes longer than memory: seconds between two readings
_VITALS_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStats:
    """The first device of a worker's ``/system_stats``, in bytes."""

    name: str
    #: torch's word: ``cpu``, ``cuda``, ``mps``, …
    type: str
    total_bytes: int
    #: free on the device, torch's own unused cache not counted
    free_bytes: int
    #: what torch reserved in that worker
    torch_bytes: int

    @property
    def own_bytes(self) -> int:
        """What the worker's process holds, by its own figures."""
        return self.torch_bytes + CONTEXT_BYTES if self.torch_bytes else 0


def read_stats(stats: Mapping[str, Any]) -> DeviceStats | None:
    """The device a worker computes on, or None where it names none."""
    devices = stats.get("devices")
    if not isinstance(devices, list) or not devices or not isinstance(devices[0], dict):
        return None
    first = devices[0]
    return DeviceStats(
        name=str(first.get("name", "")),
        type=str(first.get("type", "cpu")),
        total_bytes=int(first.get("vram_total") or 0),
        free_bytes=int(first.get("vram_free") or 0) - int(first.get("torch_vram_free") or 0),
        torch_bytes=int(first.get("torch_vram_total") or 0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One of our workers, as far as its memory can be found."""

    worker: str
    #: GPU id, "" for none
    gpu: str
    #: process we started (a session leader); None: somebody else's
    pid: int | None
    stats: DeviceStats | None


class ForeignWindow:
    """The highest of recent readings."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._readings: deque[tuple[float, int]] = deque()

    def add(self, now: float, bytes_: int) -> int:
        """Note a reading; the highest within the window up to now."""
        while self._readings and self._readings[-1][1] <= bytes_:
            self._readings.pop()
        self._readings.append((now, bytes_))
        while self._readings[0][0] < now - self._seconds:
            self._readings.popleft()
        return self._readings[0][1]


class GpuBook:
    """The latest figures of all GPUs and workers of this agent."""

    def __init__(
        self,
        reader: GpuReader | None,
        agent: str,
        window_s: float,
        clock: Callable[[], float],
        session_of: Callable[[int], int | None] | None = None,
    ) -> None:
        """Keep a book over ``reader``.

        Args:
            reader: None on a host without NVML.
            agent: its id, for GPUs that NVML does not show.
            window_s: how long a foreign peak counts.
            clock: monotonic seconds.
            session_of: pid → its session; the operating system's unless a test says otherwise.
        """
        self._reader = reader
        self._agent = agent
        self._window_s = window_s
        self._clock = clock
        self._session_of = session_of or _session
        self._foreign: dict[str, ForeignWindow] = {}
        self._readings: list[GpuReading] = []
        self._gpus: dict[str, Gpu] = {}
        self._used: dict[str, int] = {}
        self._by_driver: dict[str, int] = {}
        self._peaks: dict[str, int] = {}
        self._vitals: dict[str, Vitals] = {}
        self._vitals_at = float("-inf")
        #: GPUs on which the driver hides what our processes hold
        self._hidden: frozenset[str] = frozenset()

    @property
    def readings(self) -> Sequence[GpuReading]:
        """What the reader said last."""
        return self._readings

    @property
    def gpus(self) -> list[Gpu]:
        """All GPUs, as to be reported."""
        return list(self._gpus.values())

    def used(self, worker: str) -> int:
        """Bytes the worker holds now, 0 where nobody can tell."""
        return self._used.get(worker, 0)

    def seen_by_driver(self, worker: str) -> int | None:
        """Bytes the driver sees the worker's processes hold; None: it does not tell."""
        return self._by_driver.get(worker)

    def computes(self, tenant: Tenant) -> bool:
        """Whether kernels of the worker's run; False where nobody can tell.

        Where a GPU is busy and nobody can tell with whose kernels, they are taken for the
        worker's: a job that hangs costs less than one that is killed at work. May block for
        milliseconds: call it from a thread.
        """
        row = next((row for row in self._readings if row.uuid == tenant.gpu), None)
        if self._reader is None or row is None or not row.utilisation:
            return False
        if tenant.pid is None or not self._mine(row.processes, tenant.pid):
            return True
        try:
            pids = self._reader.computing(row.uuid)
        except GpuUnreadable as error:
            _log.warning("gpu_unreadable", detail=str(error))
            return True
        return pids is None or bool(self._mine(pids, tenant.pid))

    def start_peak(self, worker: str) -> None:
        """Forget the worker's highest figure; the next sample starts a new one."""
        self._peaks[worker] = 0

    def peak(self, worker: str) -> int:
        """The worker's highest figure since ``start_peak``, 0: not measured."""
        return self._peaks.get(worker, 0)

    def sample(self, tenants: Sequence[Tenant]) -> None:
        """Read everything once. May block for milliseconds: call it from a thread."""
        suspect = False
        if self._reader is not None:
            try:
                self._readings = self._reader.devices()
            except GpuUnreadable as error:
                _log.warning("gpu_unreadable", detail=str(error))
                suspect = True
            else:
                self._read_vitals(self._reader)
        self._measure(tenants)
        gpus = [self._seen(row, tenants) for row in self._readings]
        gpus += [gpu for tenant in tenants if (gpu := self._told(tenant)) is not None]
        if suspect:
            gpus = [_suspect(gpu) for gpu in gpus]
        self._gpus = {gpu.id: gpu for gpu in gpus}

    def _read_vitals(self, reader: GpuReader) -> None:
        if self._clock() - self._vitals_at < _VITALS_S:
            return
        self._vitals_at = self._clock()
        for row in self._readings:
            try:
                self._vitals[row.uuid] = reader.vitals(row.uuid)
            except GpuUnreadable as error:
                # its memory was read a moment ago: that is what jobs depend on
                _log.warning("gpu_vitals_unreadable", gpu=row.uuid, detail=str(error))
                self._vitals[row.uuid] = Vitals()

    def _measure(self, tenants: Sequence[Tenant]) -> None:
        used: dict[str, int] = {}
        seen: dict[str, int] = {}
        for tenant in tenants:
            driver = self._of_process(tenant)
            if driver is not None:
                seen[tenant.worker] = driver
            used[tenant.worker] = _own_bytes(tenant) if driver is None else driver
            self._peaks[tenant.worker] = max(self._peaks.get(tenant.worker, 0), used[tenant.worker])
        self._used, self._by_driver = used, seen
        self._hidden = frozenset(
            tenant.gpu
            for tenant in tenants
            if tenant.pid is not None and used[tenant.worker] and tenant.worker not in seen
        )

    def _of_process(self, tenant: Tenant) -> int | None:
        """As the driver sees it; None: a container hides pids, or the worker is not ours."""
        row = next((row for row in self._readings if row.uuid == tenant.gpu), None)
        if row is None or tenant.pid is None:
            return None
        mine = self._mine(row.processes, tenant.pid)
        return sum(row.processes[pid] for pid in mine) if mine else None

    def _mine(self, pids: Iterable[int], leader: int) -> list[int]:
        """Those of a worker's process and its helpers."""
        return [pid for pid in pids if pid == leader or self._session_of(pid) == leader]

    def _seen(self, row: GpuReading, tenants: Sequence[Tenant]) -> Gpu:
        ours = sum(self._used[tenant.worker] for tenant in tenants if tenant.gpu == row.uuid)
        vitals = self._vitals_of(row)
        return Gpu(
            id=row.uuid,
            agent=self._agent,
            index=row.index,
            name=row.name,
            total_bytes=row.total_bytes,
            used_bytes=row.used_bytes,
            foreign_bytes=self._note_foreign(row.uuid, row.used_bytes - ours),
            state=GpuState.SUSPECT if vitals.trouble else GpuState.READY,
            memory_source=MemorySource.NVML,
            vitals=vitals,
        )

    def _vitals_of(self, row: GpuReading) -> Vitals:
        vitals = self._vitals.get(row.uuid, Vitals())
        return replace(
            vitals,
            utilisation=row.utilisation if row.utilisation is not None else vitals.utilisation,
            by_process=row.uuid not in self._hidden,
            trouble=row.trouble or _broken(vitals),
        )

    def _told(self, tenant: Tenant) -> Gpu | None:
        """The GPU of a worker elsewhere, by its own figures."""
        stats = tenant.stats
        if stats is None or tenant.gpu != told_id(self._agent, tenant.worker):
            return None
        used = max(0, stats.total_bytes - stats.free_bytes)
        return Gpu(
            id=tenant.gpu,
            agent=self._agent,
            index=0,
            name=stats.name,
            total_bytes=stats.total_bytes,
            used_bytes=used,
            foreign_bytes=self._note_foreign(tenant.gpu, used - self._used[tenant.worker]),
            state=GpuState.READY,
            memory_source=MemorySource.SYSTEM_STATS,
        )

    def _note_foreign(self, gpu: str, bytes_: int) -> int:
        window = self._foreign.setdefault(gpu, ForeignWindow(self._window_s))
        return window.add(self._clock(), max(0, bytes_))


def told_id(agent: str, worker: str) -> str:
    """Id of a GPU that only its worker's own figures show."""
    return f"{agent}:{worker}:0"


def find_gpu(
    stats: DeviceStats, readings: Sequence[GpuReading], index: int | None, *, local: bool
) -> str | None:
    """Which of this host's GPUs a worker computes on.

    Args:
        stats: the worker's own words.
        readings: this host's GPUs.
        index: the GPU an admin named for it.
        local: whether the worker runs on this host.

    Returns:
        A reading's uuid; "" for a worker that computes on the CPU; None: not one of these.
    """
    if stats.type == "cpu":
        return ""
    if index is not None:
        return next((row.uuid for row in readings if row.index == index), None)
    if not local:
        return None
    named = [row for row in readings if row.name and row.name in stats.name]
    if len(named) == 1:
        return named[0].uuid
    return readings[0].uuid if len(readings) == 1 else None


def _own_bytes(tenant: Tenant) -> int:
    """What it holds by its own words."""
    return tenant.stats.own_bytes if tenant.stats and tenant.gpu else 0


def _broken(vitals: Vitals) -> str:
    """What is wrong with a GPU whose memory was read."""
    if not vitals.ecc_uncorrected:
        return ""
    return (
        f"{vitals.ecc_uncorrected} memory errors that were not corrected: drain its workers and "
        "reset it (nvidia-smi --gpu-reset)"
    )


def _suspect(gpu: Gpu) -> Gpu:
    # figures that a worker told itself are as good as ever
    if gpu.memory_source is not MemorySource.NVML:
        return gpu
    vitals = replace(gpu.vitals, trouble="the driver does not answer: see nvidia-smi")
    return replace(gpu, state=GpuState.SUSPECT, vitals=vitals)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None
