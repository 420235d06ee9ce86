"""The agent's view of simulated GPUs: what NVML would say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scheduler.fleet import Vitals
from simulator.gpu import SimulatedGpu
from worker_agent.nvml import GpuReading, GpuUnreadable


class FakeNvml:
    """``GpuReader`` over simulated GPUs.

    Args:
        directories: One per GPU, as :func:`simulator.launch.prepare_gpus` makes them.
    """

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = tuple(directories)
        #: what a card is does not change
        self._cards: dict[Path, SimulatedGpu] = {}

    def devices(self) -> list[GpuReading]:
        """All GPUs, by index.

        Raises:
            GpuUnreadable: A directory is gone, as a card that fell off the bus.
        """
        return sorted(map(self._reading, self._directories), key=lambda reading: reading.index)

    def vitals(self, uuid: str) -> Vitals:
        """Nothing is told of a simulated card."""
        return Vitals()

    def computing(self, uuid: str) -> frozenset[int]:
        """Pids that compute on a GPU right now."""
        for directory in self._directories:
            gpu = SimulatedGpu.open(directory)
            if gpu.uuid == uuid:
                return frozenset(gpu.read().computing_pids)
        return frozenset()

    def close(self) -> None:
        """Nothing is held between reads."""

    def _reading(self, directory: Path) -> GpuReading:
        try:
            # a card that is taken away is gone
            (directory / "gpu.json").stat()
            gpu = self._cards.get(directory) or SimulatedGpu.open(directory)
            state = gpu.read()
        except OSError as error:
            raise GpuUnreadable(f"no simulated GPU in {directory.name}; create it first") from error
        self._cards[directory] = gpu
        return GpuReading(
            uuid=gpu.uuid,
            index=gpu.index,
            name=gpu.name,
            total_bytes=gpu.total_bytes,
            used_bytes=state.used_bytes,
            processes=state.processes,
            utilisation=state.utilisation,
        )
