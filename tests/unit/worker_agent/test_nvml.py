"""The driver's answers as readings, on a stand-in for its library."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from worker_agent.nvml import GpuUnreadable, NvmlReader

GIB = 2**30


class Driver:
    """As much of pynvml as a reader calls; handles are UUIDs."""

    NVML_DEVICE_MIG_ENABLE = 1
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED = pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
    NVML_VOLATILE_ECC = pynvml.NVML_VOLATILE_ECC
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU
    NVML_CLOCK_SM = pynvml.NVML_CLOCK_SM

    def __init__(self, cards: int = 1) -> None:
        self.cards = [f"GPU-{number}" for number in range(cards)]
        self.lost: set[str] = set()
        self.parts: dict[int, str] = {}
        self.computing: list[Any] = []
        self.under_mps: list[Any] = []
        self.silent_about: set[str] = set()
        self.ecc = 0
        self.slowed = 0

    def nvmlInit(self) -> None: ...

    def nvmlShutdown(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        if self.cards[index] in self.lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return self.cards[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        return uuid

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:
        if not self.parts:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [1, 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: str) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: str, number: int) -> str:
        if number not in self.parts:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return self.parts[number]

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: str) -> str:
        return self.cards[0]

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:
        return SimpleNamespace(total=(10 if "MIG" in handle else 80) * GIB, used=3 * GIB)

    def nvmlDeviceGetUUID(self, handle: str) -> str:
        return handle

    def nvmlDeviceGetName(self, handle: str) -> bytes:
        return b"H100"

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[Any]:
        return self.computing

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: str) -> list[Any]:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)

    def nvmlDeviceGetMPSComputeRunningProcesses(self, handle: str) -> list[Any]:
        return self.under_mps

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> Any:
        assert "MIG" not in handle, "an instance has none"
        return SimpleNamespace(gpu=40)

    def nvmlDeviceGetTotalEccErrors(self, handle: str, kind: int, since: int) -> int:
        self._tell("ecc")
        return self.ecc

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:
        self._tell("clocks")
        return self.slowed

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:
        self._tell("temperature")
        return 71

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        self._tell("power")
        return 312_500

    def nvmlDeviceGetClockInfo(self, handle: str, clock: int) -> int:
        return 1830

    def _tell(self, what: str) -> None:
        if what in self.silent_about:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


def process(pid: int, used: int | None) -> Any:
    return SimpleNamespace(pid=pid, usedGpuMemory=used)


def test_a_process_is_found_whether_it_computes_or_runs_under_mps() -> None:
    driver = Driver()
    driver.computing = [process(1, 2 * GIB), process(2, None)]
    driver.under_mps = [process(3, GIB), process(1, GIB)]
    (row,) = NvmlReader(library=driver).devices()
    assert row.processes == {1: 2 * GIB, 3: GIB}


def test_a_divided_gpu_counts_as_its_instances() -> None:
    driver = Driver()
    driver.parts = {0: "MIG-a", 5: "MIG-b"}
    rows = NvmlReader(library=driver).devices()
    assert [(row.uuid, row.index, row.total_bytes) for row in rows] == [
        ("MIG-a", 0, 10 * GIB),
        ("MIG-b", 0, 10 * GIB),
    ]
    assert all(row.utilisation is None for row in rows)
    assert NvmlReader(library=driver).vitals("MIG-b").temperature_c == 71


def test_a_card_that_is_lost_keeps_its_figures_and_says_so() -> None:
    driver = Driver(2)
    reader = NvmlReader(library=driver)
    reader.devices()
    driver.lost = {"GPU-1"}
    good, lost = reader.devices()
    assert good.trouble == ""
    assert "does not answer" in lost.trouble
    assert (lost.uuid, lost.used_bytes) == ("GPU-1", 3 * GIB)


def test_a_driver_that_answers_for_no_card_cannot_be_read() -> None:
    driver = Driver(2)
    reader = NvmlReader(library=driver)
    reader.devices()
    driver.lost = {"GPU-0", "GPU-1"}
    with pytest.raises(GpuUnreadable, match="nvidia-smi"):
        reader.devices()


def test_vitals_are_what_the_driver_tells() -> None:
    driver = Driver()
    driver.ecc, driver.slowed = 2, 0x01 | 0x04 | 0x40
    vitals = NvmlReader(library=driver).vitals("GPU-0")
    assert (vitals.temperature_c, vitals.power_mw, vitals.clock_mhz) == (71, 312_500, 1830)
    assert (vitals.utilisation, vitals.ecc_uncorrected) == (0.4, 2)
    assert vitals.throttled == ("sw_power_cap", "hw_thermal")


def test_what_a_card_does_not_tell_is_left_out() -> None:
    driver = Driver()
    driver.silent_about = {"ecc", "clocks", "temperature", "power"}
    vitals = NvmlReader(library=driver).vitals("GPU-0")
    assert (vitals.temperature_c, vitals.power_mw, vitals.ecc_uncorrected) == (None, None, None)
    assert vitals.throttled == ()
