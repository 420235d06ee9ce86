"""What AMD's driver says of each GPU; the only module that imports amdsmi.

Written from AMD's documentation of the library and tested against a stand-in: nobody has run
it on such a card yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog

from scheduler.fleet import Vitals
from worker_agent.nvml import GpuReading, GpuUnreadable

_log = structlog.get_logger(__name__)

#: what the library writes where a card does not tell a figure
_NOT_TOLD: Final = "N/A"


class AmdReader:
    """``GpuReader`` over AMD's system management interface."""

    def __init__(self, library: Any) -> None:
        """Read with a library: ``amdsmi``, or what stands for it in a test."""
        self._smi = library
        self._open = False

    def devices(self) -> list[GpuReading]:
        """All GPUs, in the driver's order; see ``GpuReader``."""
        with self._driver():
            handles = self._smi.amdsmi_get_processor_handles()
            return [self._read(index, handle) for index, handle in enumerate(handles)]

    def computing(self, uuid: str) -> frozenset[int] | None:
        """Not told: the library counts a process's queues, not its kernels' time."""
        return None

    def vitals(self, uuid: str) -> Vitals:
        """How a GPU is; see ``GpuReader``."""
        smi = self._smi
        with self._driver():
            handle = next(
                one
                for one in smi.amdsmi_get_processor_handles()
                if smi.amdsmi_get_gpu_device_uuid(one) == uuid
            )
            heat = self._told(
                smi.amdsmi_get_temp_metric,
                handle,
                smi.AmdSmiTemperatureType.EDGE,
                smi.AmdSmiTemperatureMetric.CURRENT,
            )
            power = self._told(smi.amdsmi_get_power_info, handle) or {}
            clock = self._told(smi.amdsmi_get_clock_info, handle, smi.AmdSmiClkType.GFX) or {}
            errors = self._told(smi.amdsmi_get_gpu_total_ecc_count, handle) or {}
            # newer cards tell the one, older cards the other
            told = [power.get(f"{name}_socket_power") for name in ("current", "average")]
            watts = next((w for one in told if (w := _number(one)) is not None), None)
            return Vitals(
                utilisation=self._utilisation(handle),
                temperature_c=_number(heat),
                power_mw=None if watts is None else watts * 1000,
                clock_mhz=_number(clock.get("clk")),
                ecc_uncorrected=_number(errors.get("uncorrectable_count")),
            )

    def close(self) -> None:
        """Give the library's handle back."""
        if not self._open:
            return
        self._open = False
        try:
            self._smi.amdsmi_shut_down()
        except self._smi.AmdSmiException as error:
            _log.debug("amdsmi_shutdown_failed", error=str(error))

    @contextmanager
    def _driver(self) -> Iterator[None]:
        try:
            if not self._open:
                self._smi.amdsmi_init()
                self._open = True
            yield
        except (self._smi.AmdSmiException, StopIteration) as error:
            self.close()
            raise GpuUnreadable(f"amdsmi: {error}; check the driver with amd-smi") from error

    def _read(self, index: int, handle: Any) -> GpuReading:
        smi = self._smi
        total = int(smi.amdsmi_get_gpu_memory_total(handle, smi.AmdSmiMemoryType.VRAM))
        used = int(smi.amdsmi_get_gpu_memory_usage(handle, smi.AmdSmiMemoryType.VRAM))
        asic = smi.amdsmi_get_gpu_asic_info(handle)
        return GpuReading(
            uuid=smi.amdsmi_get_gpu_device_uuid(handle),
            index=index,
            name=str(asic.get("market_name", "AMD GPU")),
            total_bytes=total,
            used_bytes=used,
            processes=self._processes(handle),
            utilisation=self._utilisation(handle),
            selector=("HIP_VISIBLE_DEVICES", str(index)),
        )

    def _processes(self, handle: Any) -> dict[int, int]:
        rows = self._told(self._smi.amdsmi_get_gpu_process_list, handle) or []
        found = {int(row["pid"]): _number(row["memory_usage"]["vram_mem"]) for row in rows}
        return {pid: held for pid, held in found.items() if held is not None}

    def _utilisation(self, handle: Any) -> float | None:
        activity = self._told(self._smi.amdsmi_get_gpu_activity, handle) or {}
        percent = _number(activity.get("gfx_activity"))
        return None if percent is None else percent / 100

    def _told(self, ask: Callable[..., Any], *of: Any) -> Any | None:
        """The driver's answer; None: this card does not tell."""
        try:
            return ask(*of)
        except self._smi.AmdSmiLibraryException as error:
            _log.debug("amdsmi_not_told", ask=ask.__name__, error=str(error))
            return None


def open_amd_reader() -> AmdReader | None:
    """A reader that has read once, or None without the extra ``amd``, its driver or a GPU."""
    try:
        import amdsmi
    except (ImportError, KeyError, OSError) as error:
        # the wheel looks for the driver's library while it is imported
        _log.debug("no_amdsmi", detail=str(error))
        return None
    reader = AmdReader(amdsmi)
    try:
        found = reader.devices()
    except GpuUnreadable as error:
        _log.info("no_gpu", detail=str(error))
        return None
    if not found:
        reader.close()
        return None
    return reader


def _number(value: Any) -> int | None:
    return None if value in (None, _NOT_TOLD) else int(value)
