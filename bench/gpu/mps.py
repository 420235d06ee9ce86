"""CUDA's Multi-Process Service in private folders: started for a measurement, ended after it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_CONTROL: Final = "nvidia-cuda-mps-control"


class MpsUnavailable(Exception):
    """MPS cannot be started here; the text says why."""


class Mps:
    """The control daemon; ``with`` starts and ends it."""

    def __init__(self, folder: Path) -> None:
        self._env = {
            "CUDA_MPS_PIPE_DIRECTORY": str(folder / "pipe"),
            "CUDA_MPS_LOG_DIRECTORY": str(folder / "log"),
        }

    def __enter__(self) -> Self:
        if shutil.which(_CONTROL) is None:
            raise MpsUnavailable(f"no {_CONTROL} on PATH")
        for folder in self._env.values():
            Path(folder).mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(
                [_CONTROL, "-d"],
                env={**os.environ, **self._env},
                check=True,
                timeout=20,
                capture_output=True,
                text=True,
            )
        except subprocess.SubprocessError as error:
            output = getattr(error, "stderr", "") or ""
            raise MpsUnavailable(f"{_CONTROL} -d: {error} {output.strip()}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        subprocess.run(
            [_CONTROL],
            input="quit\n",
            env={**os.environ, **self._env},
            check=False,
            timeout=30,
            capture_output=True,
            text=True,
        )

    def client(self, limit_mib: int) -> dict[str, str]:
        """The environment of a process that runs through it, within so many MiB of its first GPU."""
        return {**self._env, "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": f"0={limit_mib}M"}
