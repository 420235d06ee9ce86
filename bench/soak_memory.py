"""Memory of each process over a soak: samples, medians of quarters, slopes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis

from bench.machine import rss_bytes
from tests.endtoend.stack import Stack

_MIB: Final = 2**20
#: a process may grow so far between second and last quarter and still counts as flat; in the
#: first one caches fill and pools open
_FLAT_SHARE: Final = 1.05
_FLAT_MIB: Final = 4.0
#: hours below which nothing can be told of it
_LEAST_HOURS: Final = 12.0


@dataclass(slots=True)
class Series:
    """One figure over time."""

    hours: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, hour: float, value: float) -> None:
        """One more sample."""
        self.hours.append(hour)
        self.values.append(value)

    def report(self) -> dict[str, Any]:
        """Medians of the quarters, and the second half's slope per hour by least squares."""
        quarters = _quarters(self.values)
        half = len(self.values) // 2
        return {
            "quarters": [round(statistics.median(one), 1) for one in quarters],
            "most": round(max(self.values), 1),
            "per_hour": round(_slope(self.hours[half:], self.values[half:]), 3),
        }

    def is_flat(self) -> bool | None:
        """None: too short to tell."""
        if not self.hours or self.hours[-1] - self.hours[0] < _LEAST_HOURS * 0.9:
            return None
        _, warm, _, last = (statistics.median(one) for one in _quarters(self.values))
        return last <= max(warm * _FLAT_SHARE, warm + _FLAT_MIB)


def _quarters(values: Sequence[float]) -> list[Sequence[float]]:
    size = max(1, len(values) // 4)
    return [values[n * size : (n + 1) * size] or values[-1:] for n in range(4)]


def _slope(hours: Sequence[float], values: Sequence[float]) -> float:
    if len(set(hours)) < 2:
        return 0.0
    return statistics.linear_regression(hours, values).slope


class Memory:
    """Looks at every process of a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._server = redis.Redis.from_url(stack.state()["redis"])
        self._pids: dict[str, int] = {}
        #: MiB by process
        self.processes: dict[str, Series] = {}
        #: other figures by name
        self.others: dict[str, Series] = {}
        self.restarts = 0

    def look(self, hour: float) -> None:
        """Take one sample of everything."""
        for name, pid in self._now().items():
            if not pid:  # it has died, and is being started again
                continue
            if self._pids.setdefault(name, pid) != pid:
                self.restarts += 1
                self._pids[name] = pid
                self.processes.pop(name, None)  # another process, another memory
            try:
                used = rss_bytes(pid) / _MIB
                if name.startswith("gateway"):
                    self._note(f"{name} open files", hour, len(_files(pid)))
            except OSError:  # it ends as we look, which counts as a restart soon
                continue
            self.processes.setdefault(name, Series()).add(hour, used)
        about = self._server.info("memory")
        self._note("redis data MiB", hour, about["used_memory_dataset"] / _MIB)
        self._note("redis keys", hour, self._server.dbsize())

    def report(self) -> dict[str, Any]:
        """Figures for JSON; memory in MiB."""
        processes = {
            name: {**series.report(), "flat": series.is_flat()}
            for name, series in self.processes.items()
        }
        others = {name: series.report() for name, series in self.others.items()}
        return {"processes_mib": processes, "others": others, "restarts": self.restarts}

    def close(self) -> None:
        """Hang up."""
        self._server.close()

    def _note(self, name: str, hour: float, value: float) -> None:
        self.others.setdefault(name, Series()).add(hour, value)

    def _now(self) -> dict[str, int]:
        workers = {f"worker-{n}": pid for n, pid in enumerate(self._stack.workers())}
        up = {} if self._stack.process is None else {"up": self._stack.process.pid}
        return {**self._stack.pids(), **up, **workers}


def _files(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/fd").iterdir())
