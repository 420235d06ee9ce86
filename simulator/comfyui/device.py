"""What a worker computes on: its share of a simulated GPU's memory and time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from simulator.comfyui.catalog import ModelFile
from simulator.comfyui.model import (
    CONTEXT_BYTES,
    Activation,
    load_seconds,
    slowdown,
)
from simulator.comfyui.options import NO_SLEEP_SPEED
from simulator.gpu import GpuOutOfMemory, SimulatedGpu

GIB = 2**30


class DeviceOutOfMemory(Exception):
    """What a node sees when its tensors do not fit; named as torch names it."""

    type_name = "torch.OutOfMemoryError"


class Device:
    """Memory as torch's caching allocator keeps it, and a clock.

    What was reserved once stays reserved until :meth:`release`: an idle worker
    goes on holding the peak of what it ran. Models that the running node does not
    need are unloaded, oldest first, when there is no room otherwise.

    Args:
        gpu: The card; None computes on the CPU: memory is neither counted nor short.
        speed: How many times faster than measured time passes.
    """

    def __init__(self, gpu: SimulatedGpu | None, speed: float) -> None:
        self.gpu = gpu
        self._process = gpu.attach(CONTEXT_BYTES) if gpu else None
        self._speed = speed
        #: name → bytes of the weights on the device, least recently used first
        self._loaded: dict[str, int] = {}
        self._active_bytes = 0

    @property
    def reserved_bytes(self) -> int:
        """What torch took from the card; 0 without a card."""
        return self._process.resident_bytes if self._process else 0

    @property
    def allocated_bytes(self) -> int:
        """What tensors occupy of it."""
        return sum(self._loaded.values()) + self._active_bytes

    async def load(self, files: Iterable[ModelFile]) -> bool:
        """Put weights on the device, and wait as long as that takes.

        Returns:
            Whether anything had to be loaded.

        Raises:
            DeviceOutOfMemory: They do not fit even alone.
        """
        needed = list(files)
        cold = False
        for file in needed:
            size = self._loaded.pop(file.name, None)
            if size is None:
                cold = True
                self._grow(file.size_bytes, {each.name for each in needed})
                await self.wait(load_seconds(file.size_bytes))
            self._loaded[file.name] = file.size_bytes
        return cold

    def activate(self, files: Iterable[ModelFile], activation: Activation) -> None:
        """Take the room that a node needs beside the weights in use.

        Raises:
            DeviceOutOfMemory: It does not fit even with all other models unloaded.
        """
        kept = {file.name for file in files}
        try:
            self._reserve(activation.reserved_bytes)
        except GpuOutOfMemory:
            # Short of room, the allocator gives its fragments back first.
            self._grow(activation.allocated_bytes, kept)
        self._active_bytes = activation.allocated_bytes

    def finish_node(self) -> None:
        """Tensors of the node are gone; what was reserved for them is kept."""
        self._active_bytes = 0

    def unload_models(self) -> None:
        """Take all weights off the device; the memory stays reserved."""
        self._loaded.clear()

    def release(self) -> None:
        """Give back what no tensor occupies."""
        if self._process:
            self._process.resize(self.allocated_bytes)

    async def compute(self, seconds: float) -> None:
        """Let kernels run: slower while other workers compute on the same card."""
        if self._speed >= NO_SLEEP_SPEED or self._process is None:
            await self.wait(seconds)
            return
        self._process.compute(True)
        others = self._process.gpu.read().computing
        await self.wait(seconds * slowdown(others))

    def rest(self) -> None:
        """No kernel runs any more."""
        if self._process:
            self._process.compute(False)

    async def wait(self, seconds: float) -> None:
        """Let time pass, at this worker's speed."""
        await asyncio.sleep(0 if self._speed >= NO_SLEEP_SPEED else seconds / self._speed)

    def close(self) -> None:
        """Leave the card."""
        if self._process:
            self._process.close()

    def _grow(self, more_bytes: int, kept: set[str]) -> None:
        """Reserve room beside the loaded weights, unloading others if it must be."""
        while True:
            try:
                self._reserve(more_bytes)
            except GpuOutOfMemory as refused:
                others = [name for name in self._loaded if name not in kept]
                if not others:
                    raise DeviceOutOfMemory(self._message(refused)) from refused
                del self._loaded[others[0]]
            else:
                return

    def _reserve(self, more_bytes: int) -> None:
        wanted = sum(self._loaded.values()) + more_bytes
        if self._process and wanted > self._process.resident_bytes:
            self._process.resize(wanted)

    def _message(self, refused: GpuOutOfMemory) -> str:
        return (
            "Allocation on device 0 would exceed allowed memory. (out of memory)\n"
            f"Currently allocated     : {self.allocated_bytes / GIB:.2f} GiB\n"
            f"Requested               : {refused.requested_bytes / GIB:.2f} GiB\n"
            f"Device limit            : {refused.total_bytes / GIB:.2f} GiB\n"
            f"Free (according to CUDA): {refused.free_bytes / GIB:.2f} GiB"
        )
