"""What one simulated worker is told at its start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from simulator.comfyui.catalog import Catalog
from worker_agent.probe.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """Settings of one worker process.

    Attributes:
        data_dir: Holds ``input``, ``output``, ``temp`` and ``user``.
        gpu_dir: The simulated GPU; None makes a worker that computes on its CPU.
        speed: How many times faster than the measured card time passes; from
            :data:`NO_SLEEP_SPEED` on nothing waits at all.
        seed: Of everything random in this worker; None takes a fresh one.
        lab_nodes: Also offer the test nodes of the protocol recordings.
        catalog: The models it pretends to have.
        port: Where it listens; shown in ``/system_stats`` only.
        probe: What its probe is told; without a token it has none.
    """

    data_dir: Path
    gpu_dir: Path | None = None
    speed: float = 1.0
    seed: int | None = None
    lab_nodes: bool = False
    catalog: Catalog = field(default_factory=Catalog)
    port: int = 8188
    probe: Settings = field(default_factory=Settings)


#: Beyond this speed sleeping costs more than the time it stands for.
NO_SLEEP_SPEED = 1000.0
