"""Where a worker is and what it computes on, as far as that is said beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


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
