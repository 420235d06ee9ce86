"""What a worker computes on: its share of a simulated GPU's memory and time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from simulator.comfyui.catalog import ModelFile
from simulator.comfyui.model import (
    CONTEXT_BYTES,
    LEAST_SHARE,
    MOVE_SECONDS_PER_GIB,
    STRETCH_PER_SHARE,
    WORKING_BYTES,
    Activation,
    load_seconds,
    slowdown,
)
from simulator.comfyui.options import NO_SLEEP_SPEED
from simulator.gpu import GpuOutOfMemory, SimulatedGpu
from worker_agent.probe.limit import Limit

GIB = 2**30


class DeviceOutOfMemory(Exception):
    """What a node sees when its tensors do not fit; named as torch names it."""

    type_name = "torch.OutOfMemoryError"


#: Called when a model comes to the device or leaves it: what, file, bytes there now, seconds.
Moved = Callable[[str, ModelFile, int, float], None]


class Device:
    """Memory as torch's caching allocator keeps it, and a clock.

    What was reserved once stays reserved until :meth:`release`: an idle worker
    goes on holding the peak of what it ran. Models that the running node does not
    need are unloaded, oldest first, when there is no room otherwise. Within a limit
    parts of those that it needs go to host memory, too, and its work takes longer.

    Args:
        gpu: The card; None computes on the CPU: memory is neither counted nor short.
        speed: How many times faster than measured time passes.

    Attributes:
        limit: What the process is kept within (``keep_to``).
        peak_allocated: Highest since the running or last prompt began, as ``peak_reserved``.
        node_peak: Highest allocated since the running node began.
        fallback: ``tiled`` if the running node's work did not fit.
    """

    def __init__(self, gpu: SimulatedGpu | None, speed: float) -> None:
        self.gpu = gpu
        self.limit = Limit()
        self.peak_allocated = self.peak_reserved = self.node_peak = 0
        self.fallback = ""
        self._process = gpu.attach(CONTEXT_BYTES) if gpu else None
        self._speed = speed
        #: name → bytes of the weights on the device, least recently used first
        self._loaded: dict[str, int] = {}
        self._files: dict[str, ModelFile] = {}
        self._active_bytes = 0
        #: how many times longer kernels run, as weights are fetched from host memory
        self._stretch = 1.0
        #: seconds that moving weights took, to be spent with the next kernels
        self._owed_s = 0.0
        self._moved: Moved = _nobody

    @property
    def reserved_bytes(self) -> int:
        """What torch took from the card; 0 without a card."""
        return self._process.resident_bytes if self._process else 0

    @property
    def allocated_bytes(self) -> int:
        """What tensors occupy of it."""
        return sum(self._loaded.values()) + self._active_bytes

    def models(self) -> list[tuple[ModelFile, int]]:
        """Models on the device with their bytes there, least recently used first."""
        return [(self._files[name], loaded) for name, loaded in self._loaded.items()]

    # ── prompts and nodes ────────────────────────────────────────────────────

    def begin_prompt(self, moved: Moved) -> None:
        """Peaks count anew; ``moved`` is told of models that come and go."""
        self._moved = moved
        self.peak_allocated, self.peak_reserved = self.allocated_bytes, self.reserved_bytes

    def begin_node(self) -> None:
        """The node's peak counts anew."""
        self.node_peak, self.fallback = self.allocated_bytes, ""

    def keep_to(self, limit: Limit) -> None:
        """Keep within a limit from now on; what is above it leaves, oldest first."""
        self.limit = limit
        most = limit.torch_bytes
        if most is None or self.reserved_bytes <= most:
            return
        self.release()
        while self.reserved_bytes > most and self._loaded:
            self.unload(next(iter(self._loaded)))
            self.release()

    async def load(self, files: Iterable[ModelFile]) -> bool:
        """Put weights on the device, and wait as long as that takes.

        Returns:
            Whether anything had to be loaded.

        Raises:
            DeviceOutOfMemory: They do not fit even alone.
        """
        needed = list(files)
        kept = {file.name for file in needed}
        cold = False
        for file in needed:
            self._files[file.name] = file
            held = self._loaded.pop(file.name, None)
            part = self._place(file, held or 0, kept)
            self._loaded[file.name] = part
            self._note_peak()
            if held is None:
                cold = True
                seconds = load_seconds(file.size_bytes)
                await self.wait(seconds)
                self._moved("load", file, part, seconds)
            elif part > held:
                await self.wait((part - held) / GIB * MOVE_SECONDS_PER_GIB)
        self._stretch = self._stretch_of(needed)
        return cold

    def activate(
        self, files: Iterable[ModelFile], activation: Activation, *, fetches: bool = True
    ) -> None:
        """Take the room that a node needs beside the weights in use.

        Args:
            files: Models that it uses.
            activation: What it needs.
            fetches: Its kernels need all of their weights at each step.

        Raises:
            DeviceOutOfMemory: It does not fit even with all other models unloaded.
        """
        needed = list(files)
        kept = {file.name for file in needed}
        try:
            self._reserve(activation.reserved_bytes)
        except GpuOutOfMemory:
            # Short of room, the allocator gives its fragments back first.
            self._make_room(activation.allocated_bytes, needed, kept)
        self._active_bytes = activation.allocated_bytes
        self._stretch = self._stretch_of(needed) if fetches else 1.0
        self._note_peak()

    def finish_node(self) -> None:
        """Tensors of the node are gone; what was reserved for them is kept."""
        self._active_bytes = 0

    def unload_models(self) -> None:
        """Take all weights off the device; the memory stays reserved."""
        for name in list(self._loaded):
            self.unload(name)

    def unload(self, name: str) -> None:
        """Take one model's weights off the device; the memory stays reserved."""
        del self._loaded[name]
        self._moved("unload", self._files[name], 0, 0.0)

    def release(self) -> None:
        """Give back what no tensor occupies."""
        if self._process:
            self._process.resize(self.allocated_bytes)

    # ── time ─────────────────────────────────────────────────────────────────

    async def compute(self, seconds: float) -> None:
        """Let kernels run: slower while other workers compute on the same card."""
        seconds = seconds * self._stretch + self._owed_s
        self._owed_s = 0.0
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

    # ── inside ───────────────────────────────────────────────────────────────

    def _place(self, file: ModelFile, held: int, kept: set[str]) -> int:
        """Bytes of a model that find room on the device."""
        if held == file.size_bytes:
            return held
        try:
            self._grow(file.size_bytes, kept)
        except DeviceOutOfMemory:
            most = self.limit.torch_bytes
            if most is None:
                raise
            part = most - sum(self._loaded.values()) - WORKING_BYTES
            if part < LEAST_SHARE * file.size_bytes:
                raise
            self._reserve(part)
            return part
        return file.size_bytes

    def _make_room(self, more_bytes: int, needed: list[ModelFile], kept: set[str]) -> None:
        try:
            self._grow(more_bytes, kept)
        except DeviceOutOfMemory:
            most = self.limit.torch_bytes
            if most is None:
                raise
            over = sum(self._loaded.values()) + more_bytes - most
            spare = {
                file: self._loaded.get(file.name, 0) - int(LEAST_SHARE * file.size_bytes)
                for file in needed
            }
            if over > sum(max(0, bytes_) for bytes_ in spare.values()):
                raise
            for file, bytes_ in spare.items():
                part = min(over, max(0, bytes_))
                self._loaded[file.name] -= part
                self._owed_s += part / GIB * MOVE_SECONDS_PER_GIB
                over -= part
            self.release()
            self._reserve(more_bytes)

    def _stretch_of(self, files: list[ModelFile]) -> float:
        whole = sum(file.size_bytes for file in files)
        there = sum(self._loaded.get(file.name, 0) for file in files)
        return 1.0 + STRETCH_PER_SHARE * (whole - there) / whole if whole else 1.0

    def _grow(self, more_bytes: int, kept: set[str]) -> None:
        """Reserve room beside the loaded weights, unloading others if it must be."""
        while True:
            try:
                self._reserve(more_bytes)
            except GpuOutOfMemory as refused:
                others = [name for name in self._loaded if name not in kept]
                if not others:
                    raise DeviceOutOfMemory(self._message(refused)) from refused
                self.unload(others[0])
                if self.limit.torch_bytes is not None:
                    self.release()
            else:
                return

    def _reserve(self, more_bytes: int) -> None:
        wanted = sum(self._loaded.values()) + more_bytes
        if not self._process or wanted <= self._process.resident_bytes:
            return
        most = self.limit.torch_bytes
        if most is not None and wanted > most:
            raise GpuOutOfMemory(more_bytes, max(0, most - self.allocated_bytes), most)
        self._process.resize(wanted)

    def _note_peak(self) -> None:
        self.peak_allocated = max(self.peak_allocated, self.allocated_bytes)
        self.peak_reserved = max(self.peak_reserved, self.reserved_bytes)
        self.node_peak = max(self.node_peak, self.allocated_bytes)

    def _message(self, refused: GpuOutOfMemory) -> str:
        return (
            "Allocation on device 0 would exceed allowed memory. (out of memory)\n"
            f"Currently allocated     : {self.allocated_bytes / GIB:.2f} GiB\n"
            f"Requested               : {refused.requested_bytes / GIB:.2f} GiB\n"
            f"Device limit            : {refused.total_bytes / GIB:.2f} GiB\n"
            f"Free (according to CUDA): {refused.free_bytes / GIB:.2f} GiB"
        )


def _nobody(what: str, file: ModelFile, loaded_bytes: int, seconds: float) -> None:
    """No probe listens."""
