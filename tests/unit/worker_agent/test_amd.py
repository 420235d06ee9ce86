"""AMD's answers as readings, on a stand-in for its library."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from worker_agent.amd import AmdReader
from worker_agent.nvml import GpuUnreadable

GIB = 2**30


class AmdSmiError(Exception):
    pass


class Kind(Enum):
    EDGE = 1
    CURRENT = 2
    GFX = 3
    VRAM = 4


class Library:
    """As much of amdsmi as a reader calls; handles are numbers."""

    AmdSmiException = AmdSmiError
    AmdSmiLibraryException = AmdSmiError
    AmdSmiTemperatureType = AmdSmiTemperatureMetric = AmdSmiClkType = AmdSmiMemoryType = Kind

    def __init__(self) -> None:
        self.broken = False
        self.tells = True

    def amdsmi_init(self) -> None:
        if self.broken:
            raise AmdSmiError("no driver")

    def amdsmi_shut_down(self) -> None: ...

    def amdsmi_get_processor_handles(self) -> list[int]:
        return [0, 1]

    def amdsmi_get_gpu_device_uuid(self, handle: int) -> str:
        return f"uuid-{handle}"

    def amdsmi_get_gpu_memory_total(self, handle: int, kind: Kind) -> int:
        return 48 * GIB

    def amdsmi_get_gpu_memory_usage(self, handle: int, kind: Kind) -> int:
        return 5 * GIB

    def amdsmi_get_gpu_asic_info(self, handle: int) -> dict[str, str]:
        return {"market_name": "Radeon PRO W7900"}

    def amdsmi_get_gpu_process_list(self, handle: int) -> list[dict[str, Any]]:
        self._tell()
        return [{"pid": 7, "memory_usage": {"vram_mem": 3 * GIB}}]

    def amdsmi_get_gpu_activity(self, handle: int) -> dict[str, Any]:
        return {"gfx_activity": 25 if self.tells else "N/A"}

    def amdsmi_get_temp_metric(self, handle: int, kind: Kind, metric: Kind) -> int:
        self._tell()
        return 64

    def amdsmi_get_power_info(self, handle: int) -> dict[str, Any]:
        return {"average_socket_power": 210 if self.tells else "N/A"}

    def amdsmi_get_clock_info(self, handle: int, kind: Kind) -> dict[str, int]:
        self._tell()
        return {"clk": 2400}

    def amdsmi_get_gpu_total_ecc_count(self, handle: int) -> dict[str, int]:
        self._tell()
        return {"uncorrectable_count": 1}

    def _tell(self) -> None:
        if not self.tells:
            raise AmdSmiError("not supported")


def test_a_card_is_read_like_any_other() -> None:
    first, second = AmdReader(Library()).devices()
    assert (first.uuid, first.index, first.name) == ("uuid-0", 0, "Radeon PRO W7900")
    assert (first.total_bytes, first.used_bytes) == (48 * GIB, 5 * GIB)
    assert (first.processes, first.utilisation) == ({7: 3 * GIB}, 0.25)
    assert second.selector == ("HIP_VISIBLE_DEVICES", "1")


def test_vitals_have_the_units_of_all_others() -> None:
    vitals = AmdReader(Library()).vitals("uuid-1")
    assert (vitals.temperature_c, vitals.power_mw, vitals.clock_mhz) == (64, 210_000, 2400)
    assert vitals.ecc_uncorrected == 1


def test_what_a_card_does_not_tell_is_left_out() -> None:
    library = Library()
    library.tells = False
    reader = AmdReader(library)
    assert reader.devices()[0].processes == {}
    assert reader.devices()[0].utilisation is None
    assert reader.vitals("uuid-0").power_mw is None


def test_a_driver_that_is_gone_cannot_be_read() -> None:
    library = Library()
    library.broken = True
    with pytest.raises(GpuUnreadable, match="amd-smi"):
        AmdReader(library).devices()
