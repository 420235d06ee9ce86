"""The card: what the driver says of it all along, and processes that hold a part of it."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from worker_agent.launch import worker_environment
from worker_agent.nvml import GpuReading, NvmlReader, open_reader

#: between two samples, seconds
_EVERY_S: Final = 0.1
_HOLDER: Final = Path(__file__).with_name("holder.py")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look."""

    #: seconds since the epoch
    at: float
    used_bytes: int
    #: 0…1; None: not told
    busy: float | None


class Card:
    """One GPU under the driver's eyes; without a GPU nothing is sampled.

    Args:
        reader: NVML; None on a machine without one.
        index: which GPU.
    """

    def __init__(self, reader: NvmlReader | None, index: int = 0) -> None:
        self._reader = reader
        self._index = index

    @classmethod
    def open(cls, *, without: bool, index: int = 0) -> Card:
        """The driver's; ``without``: as if there were none."""
        return cls(None if without else open_reader(), index)

    def reading(self) -> GpuReading | None:
        """Now; None: there is no GPU."""
        return None if self._reader is None else self._reader.devices()[self._index]

    @property
    def readings(self) -> list[GpuReading]:
        """The GPU that is used, or nothing."""
        now = self.reading()
        return [] if now is None else [now]

    @contextmanager
    def sampled(self) -> Iterator[list[Sample]]:
        """Look at it in a thread of its own while the block runs."""
        samples: list[Sample] = []
        stop = threading.Event()
        thread = threading.Thread(target=self._look, args=(samples, stop), daemon=True)
        thread.start()
        try:
            yield samples
        finally:
            stop.set()
            thread.join()

    def _look(self, samples: list[Sample], stop: threading.Event) -> None:
        while self._reader is not None and not stop.wait(_EVERY_S):
            now = self._reader.devices()[self._index]
            samples.append(Sample(time.time(), now.used_bytes, now.utilisation))


@dataclass(slots=True)
class Holder:
    """A process that holds memory; ``python`` is one that has torch."""

    process: subprocess.Popen[str]
    held_bytes: int = 0
    lines: list[str] = field(default_factory=list)

    @classmethod
    def start(cls, python: Path, environ: Mapping[str, str], *wish: str) -> Holder:
        """Start it; it takes its memory on its own."""
        process = subprocess.Popen(
            [str(python), str(_HOLDER), *wish],
            env=worker_environment(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return cls(process)

    def wait(self) -> int:
        """Until it holds what it wants; the bytes.

        Raises:
            RuntimeError: it ended instead.
        """
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, number = line.split()
            self.lines.append(line.strip())
            if word == "held":
                self.held_bytes = int(number)
                return self.held_bytes
        raise RuntimeError(f"the holder ended with {self.process.wait()}: is torch there?")

    def stop(self) -> None:
        """Give the memory back."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)
