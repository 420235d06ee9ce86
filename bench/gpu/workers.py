"""ComfyUI processes without vramgate, started with the very command that vramgate uses."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from cli.agent import free_port
from config.settings import Comfyui
from worker_agent.launch import LaunchSpec, comfyui_specs
from worker_agent.nvml import GpuReading

#: what ComfyUI writes where memory was short: word of the table → text of its log
_MARKS: Final = {
    "tiled": "retrying with tiled",
    "partial": "loaded partially",
    "oom": "Got an OOM",
}
_LOOK_S: Final = 0.2
_STOP_S: Final = 10.0


class Workers:
    """Some ComfyUIs beside one another.

    Args:
        settings: which ComfyUI, how many.
        readings: the GPU that they compute on; empty: the processor.
        folder: their folders and logs.
    """

    def __init__(self, settings: Comfyui, readings: Sequence[GpuReading], folder: Path) -> None:
        self._specs = comfyui_specs(settings, readings, "bench", folder, free_port)
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def urls(self) -> list[str]:
        """One for each."""
        return [spec.url for spec in self._specs]

    @property
    def logs(self) -> list[Path]:
        """One for each."""
        return [spec.log_path for spec in self._specs]

    def start(self, within_s: float) -> None:
        """Start all, and wait until all answer.

        Raises:
            RuntimeError: one ended instead, or takes too long.
        """
        for spec in self._specs:
            self._processes.append(_start(spec))
        deadline = time.monotonic() + within_s
        for spec, process in zip(self._specs, self._processes, strict=True):
            while not _answers(spec.url):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{spec.id} does not answer:\n{tail(spec.log_path)}")
                time.sleep(_LOOK_S)

    def stop(self) -> None:
        """End all."""
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._processes.clear()


def marks(logs: Iterable[Path]) -> Counter[str]:
    """How often workers were short of memory so far, by their logs."""
    found: Counter[str] = Counter()
    for log in logs:
        text = log.read_text(errors="replace") if log.exists() else ""
        found.update({word: text.count(mark) for word, mark in _MARKS.items()})
    return found


def tail(log: Path) -> str:
    """The end of a log."""
    return log.read_text(errors="replace")[-3000:] if log.exists() else f"{log}: nothing written"


def _start(spec: LaunchSpec) -> subprocess.Popen[bytes]:
    with spec.log_path.open("ab") as log:
        return subprocess.Popen(
            spec.command,
            env=dict(spec.env),
            cwd=spec.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url + "/system_stats", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
