"""Where an agent's MPS daemon is, and what a worker needs to compute through it. Pure."""

from __future__ import annotations

from pathlib import Path


def mps_environment(home: Path, limit_bytes: int | None) -> dict[str, str]:
    """What a worker needs in its environment to compute through the daemon of ``home``.

    A worker sees one GPU, which is number 0 to it; the limit is in MiB, rounded down.
    """
    found = {
        "CUDA_MPS_PIPE_DIRECTORY": str(home / "pipe"),
        "CUDA_MPS_LOG_DIRECTORY": str(home / "log"),
    }
    if limit_bytes is not None:
        found["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] = f"0={limit_bytes // 2**20}M"
    return found


def mps_home(data_dir: Path) -> Path:
    """Where an agent's daemon has its folders."""
    return data_dir / "mps"
