"""Host memory: what this host has left, and what each worker's processes hold of it.

Read from ``/proc`` and the memory cgroup that we and our workers run in. A host
without them (no Linux) answers 0, which means not measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: readings are not made more often than this, seconds
_INTERVAL: Final = 1.0
_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class HostReading:
    """Host memory at one moment, bytes; the cgroup's where that is less. 0: not measured."""

    total_bytes: int = 0
    #: what a process could still take without swapping
    available_bytes: int = 0


class HostBook:
    """The latest figures of this host."""

    def __init__(
        self,
        clock: Callable[[], float],
        proc: Path = Path("/proc"),
        cgroups: Path = Path("/sys/fs/cgroup"),
    ) -> None:
        """Keep a book.

        Args:
            clock: monotonic seconds.
            proc: where the kernel tells of processes.
            cgroups: where it tells of control groups.
        """
        self._clock = clock
        self._proc = proc
        self._cgroups = cgroups
        self._read_at = float("-inf")
        self._used: dict[str, int] = {}
        self.reading = HostReading()

    def used(self, worker: str) -> int:
        """Resident bytes of the worker's processes, 0: not measured."""
        return self._used.get(worker, 0)

    def is_due(self) -> bool:
        """Whether ``sample`` would read anything."""
        return self._clock() - self._read_at >= _INTERVAL

    def sample(self, pids: Mapping[str, int | None], *, now: bool = False) -> None:
        """Read everything, unless that was just done. Call it from a thread.

        Args:
            pids: worker → its first process; None: not ours, or none.
            now: read in any case.
        """
        if not now and not self.is_due():
            return
        self._read_at = self._clock()
        self.reading = self._read()
        self._used = {worker: self._of_tree(pid) for worker, pid in pids.items() if pid is not None}

    def _read(self) -> HostReading:
        figures = _figures(self._text("meminfo"))
        total, available = figures.get("MemTotal", 0), figures.get("MemAvailable", 0)
        if not total:
            return HostReading()
        for limit, free in self._limits():
            total, available = min(total, limit), min(available, max(0, free))
        return HostReading(total, available)

    def _limits(self) -> list[tuple[int, int]]:
        """Limit and what is free of it, for our cgroup and those around it."""
        found = []
        for line in self._text("self/cgroup").splitlines():
            _, controllers, path = [*line.split(":", 2), "", ""][:3]
            if controllers == "":
                found += self._chain(self._cgroups, path, _V2)
            elif "memory" in controllers.split(","):
                found += self._chain(self._cgroups / "memory", path, _V1)
        return found

    def _chain(self, root: Path, path: str, names: _Names) -> list[tuple[int, int]]:
        # In a container the path may be the host's, which is not to be seen: then only the
        # root is left, and that is the container's own group.
        inner = Path(path.lstrip("/"))
        rows = [_limit(root / folder, names) for folder in (inner, *inner.parents)]
        return [row for row in rows if row is not None]

    def _of_tree(self, pid: int) -> int:
        total, waiting, seen = 0, [pid], set[int]()
        while waiting:
            one = waiting.pop()
            if one in seen:
                continue
            seen.add(one)
            total += _figures(self._text(f"{one}/status")).get("VmRSS", 0)
            waiting += self._children(one)
        return total

    def _children(self, pid: int) -> list[int]:
        try:
            tasks = list((self._proc / str(pid) / "task").iterdir())
        except OSError:
            return []
        lines = [_read(task / "children") for task in tasks]
        return [int(child) for line in lines for child in line.split()]

    def _text(self, name: str) -> str:
        return _read(self._proc / name)


@dataclass(frozen=True, slots=True)
class _Names:
    """What a version of the cgroup interface calls its files."""

    limit: str
    used: str
    #: page cache that is given back before anything else, counted as used
    cache: str


_V2: Final = _Names("memory.max", "memory.current", "inactive_file")
_V1: Final = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _limit(folder: Path, names: _Names) -> tuple[int, int] | None:
    """A group's limit and what is free of it; None: it has none."""
    limit, used = _number(folder / names.limit), _number(folder / names.used)
    if limit is None or used is None:
        return None
    match = re.search(rf"^{names.cache} (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
    cache = int(match[1]) if match is not None else 0
    return limit, limit - used + cache


def _number(path: Path) -> int | None:
    """A file's number; None: no file, or ``max``."""
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _figures(text: str) -> dict[str, int]:
    """``Name:   123 kB`` lines as bytes."""
    found = re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)
    return {name: int(value) * _KIB for name, value in found}


def _read(path: Path) -> str:
    """A small file's text; "" where it cannot be read (a process may end at any moment)."""
    try:
        return path.read_text()
    except OSError:
        return ""
