"""Where a worker is and what it computes on, as far as that is said beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from yarl import URL

from worker_agent.gpus import DeviceStats, find_gpu
from worker_agent.nvml import GpuReading

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One worker's."""

    id: str
    url: str
    #: GPU known from the start
    gpu_uuid: str | None = None
    #: index of the GPU an admin named
    gpu_index: int | None = None
    #: by type, where its files lie on this host; empty: not known
    folders: Mapping[str, Path] = field(default_factory=dict)
    #: token of its probe; "": it has none that we may use
    probe_token: str = field(default="", repr=False)

    def gpu(self, stats: DeviceStats | None, readings: Sequence[GpuReading]) -> str | None:
        """The GPU that a worker with these figures computes on; "": none, None: not on this host."""
        if self.gpu_uuid is not None or stats is None:
            return self.gpu_uuid or ""
        local = (URL(self.url).host or "") in _LOOPBACK
        return find_gpu(stats, readings, self.gpu_index, local=local)
