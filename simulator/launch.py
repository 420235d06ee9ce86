"""How a simulated machine is set up: its GPUs, and the command of each worker."""

from __future__ import annotations

import uuid
from pathlib import Path

from simulator.gpu import SimulatedGpu
from simulator.spec import SimulationSpec

#: The same machine has the same cards after every start.
_NAMESPACE = uuid.UUID("5f1d7f0e-3c7b-4d1c-9d0a-6a2f6f0c5b1e")


def prepare_gpus(spec: SimulationSpec, root: Path) -> list[Path]:
    """Create the cards of a spec below ``root``; returns one directory per GPU."""
    directories = []
    for index in range(spec.gpus):
        directory = root / f"gpu{index}"
        SimulatedGpu.create(
            directory,
            index=index,
            total_bytes=spec.vram_bytes,
            name=f"Simulated GPU {spec.vram_bytes / 2**30:.0f} GiB",
            uuid=f"GPU-{uuid.uuid5(_NAMESPACE, str(index))}",
        )
        directories.append(directory)
    return directories


def worker_command(
    python: str, port: int, gpu_dir: Path | None, data_dir: Path, spec: SimulationSpec
) -> list[str]:
    """The command that starts one simulated worker on loopback.

    Args:
        python: Interpreter that can import this package.
        port: TCP port to listen on.
        gpu_dir: One of :func:`prepare_gpus`; None for a worker without a GPU.
        data_dir: Where inputs, outputs and settings of this worker live.
        spec: Says how fast time passes.
    """
    return [
        python,
        "-m",
        "simulator.comfyui",
        "--port",
        str(port),
        "--gpu-dir",
        "none" if gpu_dir is None else str(gpu_dir),
        "--data-dir",
        str(data_dir),
        "--speed",
        repr(spec.speed),
    ]
