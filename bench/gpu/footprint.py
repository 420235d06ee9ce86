"""Samples the bytes that a process holds on a GPU, as NVML shows them, in a thread of its own.

Where NVML hides processes (containers), the device's used bytes less those before the process
started stand for it. Without a GPU, resident host memory does, for rehearsals.
"""

from __future__ import annotations

import importlib
import threading
import time
from pathlib import Path
from typing import Any, Final

_PERIOD_S: Final = 0.02
_PAGE: Final = 4096


class Footprint:
    """Follows one process at a time, on the first GPU."""

    def __init__(self, cpu: bool) -> None:
        self._nvml: Any = None if cpu else importlib.import_module("pynvml")
        self._device: Any = None
        if self._nvml is not None:
            self._nvml.nvmlInit()
            self._device = self._nvml.nvmlDeviceGetHandleByIndex(0)
        self._pid = 0
        self._before = 0
        self._peak = 0
        self._lock = threading.Lock()
        #: ``process``, ``device`` or ``resident``: what the numbers are
        self.source = "resident" if cpu else "device"
        threading.Thread(target=self._work, daemon=True).start()

    def name(self) -> str:
        """The GPU, and its driver."""
        if self._nvml is None:
            return "none"
        name = self._nvml.nvmlDeviceGetName(self._device)
        return f"{name}, driver {self._nvml.nvmlSystemGetDriverVersion()}"

    def before(self) -> None:
        """To be called before a process starts: what others hold by then is not its own."""
        self._pid = 0
        if self._nvml is not None:
            self._before = self._used()

    def follow(self, pid: int) -> None:
        """From now on it is this process."""
        self._pid = pid
        if self._nvml is not None:
            self.source = "process" if self._of_process() is not None else "device"
        self.restart()

    def restart(self) -> None:
        """A new peak begins."""
        with self._lock:
            self._peak = self.now()

    def peak(self) -> int:
        """The most bytes since ``restart``."""
        with self._lock:
            self._peak = max(self._peak, self.now())
            return self._peak

    def now(self) -> int:
        """Bytes now; 0 once the process is gone."""
        if self._nvml is None:
            return self._resident()
        if self.source == "process":
            return self._of_process() or 0
        return max(0, self._used() - self._before)

    def until(self, most: int, patience_s: float) -> float | None:
        """Seconds until no more than ``most`` bytes are held; None: not within ``patience_s``."""
        began = time.perf_counter()
        while self.now() > most:
            if time.perf_counter() - began > patience_s:
                return None
            time.sleep(_PERIOD_S)
        return time.perf_counter() - began

    def _used(self) -> int:
        return int(self._nvml.nvmlDeviceGetMemoryInfo(self._device).used)

    def _of_process(self) -> int | None:
        for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(self._device):
            if process.pid == self._pid and process.usedGpuMemory is not None:
                return int(process.usedGpuMemory)
        return None

    def _resident(self) -> int:
        try:
            return int(Path(f"/proc/{self._pid}/statm").read_text().split()[1]) * _PAGE
        except OSError:
            return 0

    def _work(self) -> None:
        while True:
            time.sleep(_PERIOD_S)
            if self._pid:
                self.peak()
