"""A simulated GPU: a directory that several processes share as if it were a card.

Layout: ``gpu.json`` (what the card is), ``lock`` (flock), ``foreign.json`` (bytes
that somebody else holds) and one ``<pid>-<n>.json`` per process that opened a
context. As on a card, what a dead process held is free again at once: a claim
counts only while a process with that pid *and* start time is alive.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

#: Linux hands out no pid above 2**22: this one belongs to nobody.
FOREIGN_PID = 2**22 + 1

#: a process's claim
_CLAIM = re.compile(r".*-.*\.json")
#: no file here, and none that ``/proc`` tells of a process, is larger, bytes
_SMALL = 2**14
_HAS_PROC = Path("/proc/self/stat").exists()
_handle_numbers = itertools.count()


class GpuOutOfMemory(MemoryError):
    """The simulated GPU has no room: free bytes elsewhere, or ask for fewer."""

    def __init__(self, requested_bytes: int, free_bytes: int, total_bytes: int) -> None:
        super().__init__(
            f"{requested_bytes} bytes wanted, {free_bytes} of {total_bytes} bytes are free"
        )
        self.requested_bytes = requested_bytes
        self.free_bytes = free_bytes
        self.total_bytes = total_bytes


@dataclass(frozen=True, slots=True)
class GpuState:
    """One reading of a simulated GPU.

    Attributes:
        total_bytes: Size of the card.
        used_bytes: All processes and the foreign claim.
        processes: Bytes by pid, the foreign claim under :data:`FOREIGN_PID`.
        computing_pids: Whose contexts compute right now, one entry for each.
    """

    total_bytes: int
    used_bytes: int
    processes: dict[int, int]
    computing_pids: tuple[int, ...]

    @property
    def computing(self) -> int:
        """How many contexts compute right now."""
        return len(self.computing_pids)

    @property
    def free_bytes(self) -> int:
        """What an allocation can still get."""
        return max(0, self.total_bytes - self.used_bytes)

    @property
    def utilisation(self) -> float:
        """1.0 while any context computes, else 0.0."""
        return 1.0 if self.computing else 0.0


class SimulatedGpu:
    """One card; every process opens it by its directory."""

    def __init__(
        self, directory: Path, *, index: int, total_bytes: int, name: str, uuid: str
    ) -> None:
        self.directory = directory
        self.index = index
        self.total_bytes = total_bytes
        self.name = name
        self.uuid = uuid

    @classmethod
    def create(
        cls, directory: Path, index: int, total_bytes: int, name: str, uuid: str
    ) -> SimulatedGpu:
        """Make a card; one that is already there keeps its processes."""
        directory.mkdir(parents=True, exist_ok=True)
        facts = {"index": index, "total_bytes": total_bytes, "name": name, "uuid": uuid}
        _write(directory / "gpu.json", facts)
        return cls(directory, index=index, total_bytes=total_bytes, name=name, uuid=uuid)

    @classmethod
    def open(cls, directory: Path) -> SimulatedGpu:
        """Open an existing card.

        Raises:
            FileNotFoundError: No card was created in this directory.
        """
        facts = json.loads((directory / "gpu.json").read_text())
        return cls(directory, **facts)

    def read(self) -> GpuState:
        """Everything NVML would say, read in one go."""
        with self._locked():
            return self._read()

    def set_foreign(self, used_bytes: int) -> None:
        """Claim bytes as some other program on the card; 0 gives them back.

        Like a real neighbour it asks nobody: the sum may exceed the total, and
        then every further allocation fails until something is given back.
        """
        with self._locked():
            _write(self.directory / "foreign.json", {"used_bytes": used_bytes})

    def attach(self, context_bytes: int) -> GpuProcess:
        """Open a context in this process.

        Raises:
            GpuOutOfMemory: Not even the context fits.
        """
        process = GpuProcess(self, context_bytes)
        process._claim(context_bytes, 0)
        return process

    def _read(self) -> GpuState:
        processes: dict[int, int] = {}
        computing: list[int] = []
        for name in os.listdir(self.directory):
            if not _CLAIM.fullmatch(name):
                continue
            path = f"{self.directory}/{name}"
            claim = _read(path)
            if claim is None:
                continue
            started, stopped = _life(claim["pid"])
            if started != claim["started"]:
                Path(path).unlink(missing_ok=True)
                continue
            held = claim["context_bytes"] + claim["resident_bytes"]
            processes[claim["pid"]] = processes.get(claim["pid"], 0) + held
            if claim["computing"] and not stopped:
                computing.append(claim["pid"])
        foreign = _read(f"{self.directory}/foreign.json")
        if foreign and foreign["used_bytes"]:
            processes[FOREIGN_PID] = foreign["used_bytes"]
        return GpuState(self.total_bytes, sum(processes.values()), processes, tuple(computing))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(f"{self.directory}/lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


class GpuProcess:
    """A context on a simulated GPU; its bytes are context plus residents."""

    def __init__(self, gpu: SimulatedGpu, context_bytes: int) -> None:
        self.gpu = gpu
        self.context_bytes = context_bytes
        self.resident_bytes = 0
        self.computing = False
        self._pid = os.getpid()
        self._file = gpu.directory / f"{self._pid}-{next(_handle_numbers)}.json"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def resize(self, resident_bytes: int) -> None:
        """Hold exactly this many bytes besides the context.

        Raises:
            GpuOutOfMemory: Growing does not fit; the old size is kept.
        """
        if resident_bytes != self.resident_bytes:
            self._claim(self.context_bytes, resident_bytes)

    def compute(self, computing: bool) -> None:
        """Say whether kernels of this context run."""
        if computing != self.computing:
            self.computing = computing
            with self.gpu._locked():
                self._store()

    def close(self) -> None:
        """Give everything back, as a process that ends does."""
        self._file.unlink(missing_ok=True)
        self.resident_bytes = 0

    def _claim(self, context_bytes: int, resident_bytes: int) -> None:
        with self.gpu._locked():
            state = self.gpu._read()
            held = self.context_bytes + self.resident_bytes if self._file.exists() else 0
            growth = context_bytes + resident_bytes - held
            if growth > 0 and growth > state.free_bytes:
                raise GpuOutOfMemory(growth, state.free_bytes, state.total_bytes)
            self.context_bytes, self.resident_bytes = context_bytes, resident_bytes
            self._store()

    def _store(self) -> None:
        _write(
            self._file,
            {
                "pid": self._pid,
                "started": _started(self._pid),
                "context_bytes": self.context_bytes,
                "resident_bytes": self.resident_bytes,
                "computing": self.computing,
            },
        )


def _started(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None when it is gone."""
    return _life(pid)[0]


def _life(pid: int) -> tuple[int | None, bool]:
    """Start time of a process, and whether it is frozen: then no kernel of it runs for long.

    A killed process that nobody reaped yet (state Z) holds no memory any more.
    Without ``/proc`` the time is 0 for every process that lives.
    """
    if not _HAS_PROC:
        return (0 if _lives(pid) else None), False
    try:
        stat = _bytes(f"/proc/{pid}/stat")
    except (FileNotFoundError, ProcessLookupError):
        return None, False
    # The name in brackets may hold spaces and brackets itself: fields count from the last one.
    fields = stat.rpartition(b")")[2].split()
    return (None if fields[0] in b"ZX" else int(fields[19])), fields[0] == b"T"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(path: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(_bytes(path))
    except FileNotFoundError:
        return None
    return found


def _bytes(path: str) -> bytes:
    """A small file in three calls: a reading of a card takes a dozen, many times a second."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, _SMALL)
    finally:
        os.close(file)


def _write(path: Path, value: dict[str, Any]) -> None:
    # Readers outside the lock never see half a file.
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.write_text(json.dumps(value))
    fresh.replace(path)
