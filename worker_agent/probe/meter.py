"""What the process holds now, and the most it held: torch's counters, or resident memory."""

from __future__ import annotations

import os
from typing import Any, NamedTuple


class Reading(NamedTuple):
    """Bytes at one moment; the peaks are since ``Meter.begin_node``."""

    allocated: int
    reserved: int
    peak_allocated: int
    peak_reserved: int


class Meter:
    """Reads one device. On a CPU, or where torch does not count, memory is what the process has resident.

    torch keeps one peak per device, and each node wants its own; so the peak of a prompt is kept here
    as the highest of its nodes' peaks.
    """

    def __init__(self, device: Any, torch: Any) -> None:
        """``device`` is ComfyUI's torch device, ``torch`` the module."""
        self.device = device
        self.kind: str = getattr(device, "type", "cpu")
        # cuda, which is AMD's name too; xpu and npu have the same functions
        counters = getattr(torch, self.kind, None)
        self._torch = counters if hasattr(counters, "memory_stats_as_nested_dict") else None
        self._statm = _open_statm()
        self._page = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
        self._peak_allocated = 0
        self._peak_reserved = 0

    def read(self) -> Reading:
        """The counters now. One call of torch's allocator gives all four."""
        if self._torch is None:
            held = self.resident()
            return Reading(held, held, held, held)
        stats = self._torch.memory_stats_as_nested_dict(self.device)
        if not stats:  # nothing was allocated on this device yet
            return Reading(0, 0, 0, 0)
        allocated, reserved = stats["allocated_bytes"]["all"], stats["reserved_bytes"]["all"]
        return Reading(
            allocated["current"], reserved["current"], allocated["peak"], reserved["peak"]
        )

    def begin_prompt(self) -> Reading:
        """The counters at the start of a prompt; its peaks start there."""
        self._reset()
        reading = self.read()
        self._peak_allocated, self._peak_reserved = reading.allocated, reading.reserved
        return reading

    def begin_node(self) -> Reading:
        """The counters at the start of a node; torch's own peak starts there."""
        reading = self.read()
        self._note(reading.peak_allocated, reading.peak_reserved)
        self._reset()
        return reading

    def peaks(self) -> tuple[int, int]:
        """Peak allocated and reserved bytes since the running or last prompt began.

        From any thread: only the one that runs prompts writes them down, or two could undo each other.
        """
        reading = self.read()
        return (
            max(self._peak_allocated, reading.peak_allocated),
            max(self._peak_reserved, reading.peak_reserved),
        )

    def sample(self) -> Reading:
        """The counters now, between nodes' readings.

        Where torch keeps no peak, what a sample finds is the best guess of one.
        """
        reading = self.read()
        if self._torch is None:
            self._note(reading.allocated, reading.reserved)
        return reading

    def device_free(self) -> int | None:
        """Bytes that the driver says are free on the device; None where there is no driver."""
        if self._torch is None:
            return None
        return int(self._torch.mem_get_info(self.device)[0])

    def resident(self) -> int:
        """Bytes of host memory that the process has resident; 0 where nobody tells."""
        if self._statm < 0:
            return 0
        return int(os.pread(self._statm, 128, 0).split()[1]) * self._page

    def _reset(self) -> None:
        if self._torch is not None:
            self._torch.reset_peak_memory_stats(self.device)

    def _note(self, allocated: int, reserved: int) -> None:
        if allocated > self._peak_allocated:
            self._peak_allocated = allocated
        if reserved > self._peak_reserved:
            self._peak_reserved = reserved


def _open_statm() -> int:
    """``/proc/self/statm``, kept open: reading it then takes 2 µs instead of 12."""
    try:
        return os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:  # not Linux
        return -1
