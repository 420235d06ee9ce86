"""What the driver says of each GPU; the only module that imports pynvml.

``GpuReader`` is the seam: the simulator has one of its own, tests have theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import pynvml
import structlog

_log = structlog.get_logger(__name__)

#: how long ago a kernel may have run for its process to count as computing, seconds; the
#: driver samples each second or more often
_COMPUTING_S: Final = 2.0


class GpuUnreadable(Exception):
    """A GPU that could be read before cannot be read now: check the driver with nvidia-smi."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """One device at one moment. All sizes are bytes."""

    #: NVML UUID, ``GPU-…``
    uuid: str
    index: int
    name: str
    total_bytes: int
    used_bytes: int
    #: pid → bytes, as far as the driver tells (a container may hide them)
    processes: dict[int, int] = field(default_factory=dict)
    #: share of the last sample period in which a kernel ran, 0…1; None: not told
    utilisation: float | None = None


class GpuReader(Protocol):
    """Reads all GPUs of this host; a call blocks (0.09 ms for one H200, measured)."""

    def devices(self) -> list[GpuReading]:
        """All GPUs, by index.

        Raises:
            GpuUnreadable: the driver does not answer.
        """
        ...

    def computing(self, uuid: str) -> frozenset[int] | None:
        """Pids whose kernels ran on a GPU within the last two seconds; None: not told.

        Not for every sample: it takes 2 to 3 ms on an H100 (CUDA 13, measured).

        Raises:
            GpuUnreadable: the driver does not answer.
        """
        ...

    def close(self) -> None:
        """Give the driver's handle back; a later read opens it again."""
        ...


class NvmlReader:
    """``GpuReader`` over NVIDIA's management library. ``wall``: seconds since the epoch."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._open = False

    def devices(self) -> list[GpuReading]:
        """All GPUs, by index; see ``GpuReader``."""
        with self._driver():
            return [self._read(index) for index in range(pynvml.nvmlDeviceGetCount())]

    def computing(self, uuid: str) -> frozenset[int] | None:
        """Pids whose kernels ran lately; see ``GpuReader``."""
        since_us = int((self._wall() - _COMPUTING_S) * 1e6)
        with self._driver():
            try:
                handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
                samples = pynvml.nvmlDeviceGetProcessUtilization(handle, since_us)
            except pynvml.NVMLError_NotFound:
                return frozenset()  # no sample: nobody computed
            except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_NoPermission):
                return None
            return frozenset(int(row.pid) for row in samples if row.smUtil > 0)

    @contextmanager
    def _driver(self) -> Iterator[None]:
        try:
            if not self._open:
                pynvml.nvmlInit()
                self._open = True
            yield
        except pynvml.NVMLError as error:
            # a driver that was reloaded needs a fresh handle
            self.close()
            raise GpuUnreadable(f"NVML: {error}; check the driver with nvidia-smi") from error

    def close(self) -> None:
        """Shut NVML down."""
        if not self._open:
            return
        self._open = False
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError as error:
            _log.debug("nvml_shutdown_failed", error=str(error))

    def _read(self, index: int) -> GpuReading:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        # memory before processes: a worker that grows in between must not look foreign
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        return GpuReading(
            uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
            index=index,
            name=_text(pynvml.nvmlDeviceGetName(handle)),
            total_bytes=int(memory.total),
            used_bytes=int(memory.used),
            processes=_processes(handle),
            utilisation=_utilisation(handle),
        )


def open_reader() -> NvmlReader | None:
    """A reader that has read once, or None on a machine without driver or GPU."""
    reader = NvmlReader()
    try:
        found = reader.devices()
    except GpuUnreadable as error:
        _log.info("no_gpu", detail=str(error))
        return None
    if not found:
        reader.close()
        return None
    return reader


def _text(value: str | bytes) -> str:
    """Older bindings answer bytes."""
    return value.decode() if isinstance(value, bytes) else value


def _processes(handle: Any) -> dict[int, int]:
    """Bytes of each process, computing or drawing; one that does both is counted once."""
    found: dict[int, int] = {}
    for ask in (
        pynvml.nvmlDeviceGetComputeRunningProcesses,
        pynvml.nvmlDeviceGetGraphicsRunningProcesses,
    ):
        try:
            rows = ask(handle)
        except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_NoPermission):
            continue
        for row in rows:
            # None: the driver does not tell (Windows' display driver model)
            if row.usedGpuMemory is not None:
                found[int(row.pid)] = max(found.get(int(row.pid), 0), int(row.usedGpuMemory))
    return found


def _utilisation(handle: Any) -> float | None:
    try:
        return float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_NoPermission):
        return None
