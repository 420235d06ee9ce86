from __future__ import annotations

from pathlib import Path

import pytest

from simulator.comfyui.catalog import ModelFile
from simulator.comfyui.device import Device, DeviceOutOfMemory
from simulator.comfyui.model import CONTEXT_BYTES, Activation
from simulator.gpu import SimulatedGpu
from worker_agent.probe.limit import Limit

GIB = 2**30
SMALL = ModelFile("checkpoints", "small", 2 * GIB)
LARGE = ModelFile("checkpoints", "large", 6 * GIB)


@pytest.fixture
def gpu(tmp_path: Path) -> SimulatedGpu:
    return SimulatedGpu.create(tmp_path / "gpu0", 0, 12 * GIB, "Simulated", "GPU-1")


@pytest.fixture
def device(gpu: SimulatedGpu) -> Device:
    return Device(gpu, speed=1e6)


async def test_an_idle_worker_goes_on_holding_its_peak(gpu: SimulatedGpu, device: Device) -> None:
    await device.load([SMALL])
    device.activate([SMALL], Activation(2 * GIB, 3 * GIB))
    device.finish_node()
    assert device.allocated_bytes == 2 * GIB
    assert gpu.read().used_bytes == CONTEXT_BYTES + 5 * GIB
    device.unload_models()
    assert gpu.read().used_bytes == CONTEXT_BYTES + 5 * GIB
    device.release()
    assert gpu.read().used_bytes == CONTEXT_BYTES


async def test_loading_again_what_is_there_is_warm(device: Device) -> None:
    assert await device.load([SMALL]) is True
    assert await device.load([SMALL]) is False


async def test_models_that_are_not_needed_make_room(gpu: SimulatedGpu, device: Device) -> None:
    await device.load([LARGE])
    await device.load([SMALL])
    device.activate([SMALL], Activation(7 * GIB, 7 * GIB))
    assert device.allocated_bytes == 9 * GIB
    assert gpu.read().used_bytes <= gpu.total_bytes
    assert await device.load([LARGE]) is True


async def test_short_of_room_only_what_tensors_need_is_taken(
    gpu: SimulatedGpu, device: Device
) -> None:
    gpu.set_foreign(5 * GIB)
    await device.load([SMALL])
    device.activate([SMALL], Activation(4 * GIB, 5 * GIB))
    assert device.reserved_bytes == 6 * GIB


async def test_what_cannot_fit_is_out_of_memory_in_torchs_words(
    gpu: SimulatedGpu, device: Device
) -> None:
    gpu.set_foreign(8 * GIB)
    with pytest.raises(DeviceOutOfMemory, match=r"^Allocation on device 0") as error:
        await device.load([LARGE])
    assert error.value.type_name == "torch.OutOfMemoryError"
    assert "Requested               : 6.00 GiB" in str(error.value)


async def test_computing_shows_as_utilisation(gpu: SimulatedGpu) -> None:
    device = Device(gpu, speed=999.0)
    await device.compute(0.001)
    assert gpu.read().utilisation == 1.0
    device.rest()
    assert gpu.read().utilisation == 0.0


async def test_without_a_card_memory_is_never_short() -> None:
    device = Device(None, speed=1e6)
    await device.load([LARGE, SMALL])
    device.activate([LARGE], Activation(1 << 50, 1 << 50))
    assert device.reserved_bytes == 0


def test_leaving_the_card_gives_the_context_back(gpu: SimulatedGpu, device: Device) -> None:
    device.close()
    assert gpu.read().used_bytes == 0


def limited(bytes_: int) -> Limit:
    return Limit(bytes_, CONTEXT_BYTES, bytes_)


async def test_within_a_limit_a_model_comes_in_part_and_kernels_take_longer(
    gpu: SimulatedGpu, device: Device
) -> None:
    device.keep_to(limited(6 * GIB))
    moves: list[tuple[str, str, bool]] = []
    device.begin_prompt(
        lambda what, file, there, _: moves.append((what, file.name, there == file.size_bytes))
    )
    await device.load([LARGE])
    assert moves == [("load", "large", False)]
    assert device._stretch > 1.0
    device.activate([LARGE], Activation(GIB, GIB))
    assert gpu.read().used_bytes <= 6 * GIB
    assert device.peak_allocated <= 6 * GIB - CONTEXT_BYTES


async def test_a_limit_that_is_lifted_lets_the_rest_of_a_model_come(device: Device) -> None:
    device.keep_to(limited(6 * GIB))
    await device.load([LARGE])
    device.finish_node()
    device.keep_to(Limit())
    assert await device.load([LARGE]) is False
    assert device.models() == [(LARGE, LARGE.size_bytes)]
    assert device._stretch == 1.0


async def test_a_limit_below_a_fifth_of_a_model_ends_out_of_memory(device: Device) -> None:
    device.keep_to(limited(2 * GIB))
    with pytest.raises(DeviceOutOfMemory):
        await device.load([LARGE])


async def test_weights_make_room_for_what_needs_them_no_longer(
    gpu: SimulatedGpu, device: Device
) -> None:
    device.keep_to(limited(9 * GIB))
    await device.load([LARGE])
    device.activate([LARGE], Activation(4 * GIB, 5 * GIB), fetches=False)
    assert gpu.read().used_bytes <= 9 * GIB
    assert device._stretch == 1.0
    device.finish_node()
    await device.load([LARGE])
    assert device.models() == [(LARGE, LARGE.size_bytes)]
