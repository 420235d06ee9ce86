"""What the driver says of each GPU; the only module that imports pynvml.

``GpuReader`` is the seam: the simulator has one of its own, tests have theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import pynvml
import structlog

from scheduler.fleet import Vitals

_log = structlog.get_logger(__name__)

#: how long ago a kernel may have run for its process to count as computing, seconds; the
#: driver samples each second or more often
_COMPUTING_S: Final = 2.0
#: what slows a GPU's clocks down, by bit (nvml.h, nvmlClocksEventReasons); that it is idle, or
#: that somebody set its clocks, is no news
_THROTTLES: Final = {
    0x04: "sw_power_cap",
    0x08: "hw_slowdown",
    0x20: "sw_thermal",
    0x40: "hw_thermal",
    0x80: "hw_power_brake",
}


class GpuUnreadable(Exception):
    """A GPU that could be read before cannot be read now: check the driver with nvidia-smi."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """One device at one moment. All sizes are bytes."""

    #: the driver's UUID: ``GPU-…``, ``MIG-…`` for an instance of a divided GPU
    uuid: str
    index: int
    name: str
    total_bytes: int
    used_bytes: int
    #: pid → bytes, as far as the driver tells (a container may hide them)
    processes: dict[int, int] = field(default_factory=dict)
    #: share of the last sample period in which a kernel ran, 0…1; None: not told
    utilisation: float | None = None
    #: why these figures are old, "" where they are not
    trouble: str = ""
    #: environment variable and value by which a process computes on this GPU alone; None:
    #: CUDA's, with the UUID
    selector: tuple[str, str] | None = None


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

    def vitals(self, uuid: str) -> Vitals:
        """Temperature, power, clocks and memory errors of a GPU; once a second is enough.

        Raises:
            GpuUnreadable: the driver does not answer.
        """
        ...

    def close(self) -> None:
        """Give the driver's handle back; a later read opens it again."""
        ...


class NvmlReader:
    """``GpuReader`` over NVIDIA's management library."""

    def __init__(self, wall: Callable[[], float] = time.time, library: Any = pynvml) -> None:
        """Read with a library; nothing is opened yet.

        Args:
            wall: seconds since the epoch.
            library: ``pynvml``, or what stands for it in a test.
        """
        self._wall = wall
        self._nvml = library
        self._open = False
        #: the last good readings of each card
        self._last: dict[int, list[GpuReading]] = {}

    def devices(self) -> list[GpuReading]:
        """All GPUs, by index; see ``GpuReader``. A divided GPU counts as its instances."""
        with self._driver():
            found: list[GpuReading] = []
            silent: list[pynvml.NVMLError] = []
            for card in range(self._nvml.nvmlDeviceGetCount()):
                try:
                    self._last[card] = self._read(card)
                    found += self._last[card]
                except pynvml.NVMLError as error:
                    # one card that fell off the bus says nothing about the others
                    silent.append(error)
                    trouble = f"the driver does not answer for it: {error}"
                    found += [replace(row, trouble=trouble) for row in self._last.get(card, ())]
            if silent and all(row.trouble for row in found):
                raise silent[0]
            return found

    def computing(self, uuid: str) -> frozenset[int] | None:
        """Pids whose kernels ran lately; see ``GpuReader``."""
        since_us = int((self._wall() - _COMPUTING_S) * 1e6)
        with self._driver():
            try:
                handle = self._nvml.nvmlDeviceGetHandleByUUID(uuid)
                samples = self._nvml.nvmlDeviceGetProcessUtilization(handle, since_us)
            except pynvml.NVMLError_NotFound:
                return frozenset()  # no sample: nobody computed
            except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_NoPermission):
                return None
            return frozenset(int(row.pid) for row in samples if row.smUtil > 0)

    def vitals(self, uuid: str) -> Vitals:
        """How a GPU is; see ``GpuReader``. Of an instance: how the whole card is."""
        nvml = self._nvml
        with self._driver():
            handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
            if uuid.startswith("MIG-"):
                handle = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
            kind, since = nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
            errors = _told(nvml.nvmlDeviceGetTotalEccErrors, handle, kind, since)
            slowed = _told(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle) or 0
            return Vitals(
                utilisation=None if uuid.startswith("MIG-") else self._utilisation(handle),
                temperature_c=_told(
                    nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU
                ),
                power_mw=_told(nvml.nvmlDeviceGetPowerUsage, handle),
                clock_mhz=_told(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM),
                throttled=tuple(name for bit, name in _THROTTLES.items() if slowed & bit),
                ecc_uncorrected=errors,
            )

    @contextmanager
    def _driver(self) -> Iterator[None]:
        try:
            if not self._open:
                self._nvml.nvmlInit()
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
            self._nvml.nvmlShutdown()
        except pynvml.NVMLError as error:
            _log.debug("nvml_shutdown_failed", error=str(error))

    def _read(self, index: int) -> list[GpuReading]:
        card = self._nvml.nvmlDeviceGetHandleByIndex(index)
        if not self._is_divided(card):
            return [self._reading(card, index, self._utilisation(card))]
        found = []
        for number in range(self._nvml.nvmlDeviceGetMaxMigDeviceCount(card)):
            try:
                part = self._nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, number)
            except pynvml.NVMLError_NotFound:
                continue  # numbers may have gaps
            found.append(self._reading(part, index, None))
        return found

    def _is_divided(self, card: Any) -> bool:
        modes = _told(self._nvml.nvmlDeviceGetMigMode, card)
        return modes is not None and modes[0] == self._nvml.NVML_DEVICE_MIG_ENABLE

    def _reading(self, handle: Any, index: int, utilisation: float | None) -> GpuReading:
        # memory before processes: a worker that grows in between must not look foreign
        memory = self._nvml.nvmlDeviceGetMemoryInfo(handle)
        return GpuReading(
            uuid=_text(self._nvml.nvmlDeviceGetUUID(handle)),
            index=index,
            name=_text(self._nvml.nvmlDeviceGetName(handle)),
            total_bytes=int(memory.total),
            used_bytes=int(memory.used),
            processes=self._processes(handle),
            utilisation=utilisation,
        )

    def _processes(self, handle: Any) -> dict[int, int]:
        """Bytes of each process, computing, drawing or under MPS; one of two kinds counts once."""
        found: dict[int, int] = {}
        for ask in (
            self._nvml.nvmlDeviceGetComputeRunningProcesses,
            self._nvml.nvmlDeviceGetGraphicsRunningProcesses,
            self._nvml.nvmlDeviceGetMPSComputeRunningProcesses,
        ):
            for row in _told(ask, handle) or ():
                # None: the driver does not tell (Windows' display driver model)
                if row.usedGpuMemory is not None:
                    found[int(row.pid)] = max(found.get(int(row.pid), 0), int(row.usedGpuMemory))
        return found

    def _utilisation(self, handle: Any) -> float | None:
        rates = _told(self._nvml.nvmlDeviceGetUtilizationRates, handle)
        return None if rates is None else float(rates.gpu) / 100


def _told(ask: Callable[..., Any], *of: Any) -> Any | None:
    """The driver's answer; None: this card, driver or container does not tell."""
    try:
        return ask(*of)
    except (
        pynvml.NVMLError_NotSupported,
        pynvml.NVMLError_NoPermission,
        pynvml.NVMLError_FunctionNotFound,
    ):
        return None


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
