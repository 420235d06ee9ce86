"""What runs the jobs: GPUs, workers and agents, as last reported, plus what the ledger knows.

Values like those of ``scheduler.states``, which names them too. All bytes are device
footprint; all ``*_ms`` are milliseconds of the server's clock since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: What gateways, schedulers and agents must agree on: grows when what they tell one another
#: through the ledger or the agents' endpoint is no longer understood by the version before.
PROTOCOL: Final = 1


class MemoryLimit(StrEnum):
    """What keeps a worker within its reservation (design, *Enforced reservations*)."""

    #: its process is capped: a wrong estimate slows its own job only
    ENFORCED = "enforced"
    #: ComfyUI is told that this is all there is, and offloads by itself
    TOLD = "told"
    #: nothing: it takes what the card has
    OBSERVED = "observed"


class WorkerState(StrEnum):
    """What a worker can do right now. Busy is not a state: it has a job or not."""

    READY = "READY"
    RELEASING = "RELEASING"
    DOWN = "DOWN"


class GpuState(StrEnum):
    """Whether a GPU's memory figures can be believed."""

    READY = "READY"
    SUSPECT = "SUSPECT"


class MemorySource(StrEnum):
    """Where a GPU's memory figures come from."""

    NVML = "nvml"
    SYSTEM_STATS = "system_stats"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """How a GPU is, beside its memory. None: the driver does not tell."""

    #: share of the last sample period in which a kernel ran, 0…1
    utilisation: float | None = None
    temperature_c: int | None = None
    power_mw: int | None = None
    #: of the streaming multiprocessors
    clock_mhz: int | None = None
    #: what keeps its clocks down now, in the driver's words (``hw_thermal``); empty: nothing
    throttled: tuple[str, ...] = ()
    #: memory errors that were not corrected, since the driver was loaded
    ecc_uncorrected: int | None = None
    #: False: the driver hides what each process holds (a container's namespace), so that our
    #: workers' bytes are their own counters, and foreign bytes are what is left of the total
    by_process: bool = True
    #: why its figures cannot be believed, "" where they can
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One device, as its agent last reported it."""

    #: NVML UUID, or ``<agent>:cpu`` style name where there is none
    id: str
    agent: str
    index: int
    name: str
    total_bytes: int
    used_bytes: int
    #: bytes held by processes that are not our workers (design, *Admission*)
    foreign_bytes: int
    state: GpuState
    memory_source: MemorySource
    heartbeat_ms: int = 0
    vitals: Vitals = Vitals()
    #: another agent that claims it too, "" for none (the ledger's)
    rival: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One ComfyUI process, as its agent last reported it, plus what the ledger knows."""

    #: stable over restarts: ``<agent>-<n>``
    id: str
    agent: str
    #: "" for a worker that computes on the CPU
    gpu: str
    state: WorkerState
    #: device bytes its process holds now (NVML per process, else the worker's own count)
    used_bytes: int
    #: models believed loaded, most recent first
    models: tuple[str, ...]
    heartbeat_ms: int = 0
    #: active job, "" when idle (the ledger's, never the agent's word)
    job: str = ""
    #: bytes promised to that job (the ledger's)
    reserved_bytes: int = 0
    has_probe: bool = False
    limit: MemoryLimit = MemoryLimit.OBSERVED
    #: resident host memory of its process; 0: not measured
    host_used_bytes: int = 0
    #: attempts in a row that it lost or let hang, no two of one job (the ledger's)
    failures: int = 0
    #: server time of the last of them
    failed_ms: int = 0
    #: digest of what it offers (``scheduler.catalogue``); "": not told
    catalogue: str = ""
    #: why it is down, or what is being done to it, for admins; "": nothing special
    detail: str = ""
    #: the job whose models have come to the GPU, as far as its agent saw that; "": none
    loaded: str = ""

    @property
    def hold_bytes(self) -> int:
        """Bytes that nobody else may count on: max(residency, reservation)."""
        return max(self.used_bytes, self.reserved_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A worker_agent process: where its endpoint is and when it last reported."""

    id: str
    url: str
    version: str
    heartbeat_ms: int
    #: host memory: the smaller of the machine's and the cgroup's; 0: not measured
    host_total_bytes: int = 0
    #: of that, what a process could still take without swapping
    host_available_bytes: int = 0
    #: names this life of the agent; "": not told
    boot: str = ""
    #: what it understands (``PROTOCOL``)
    protocol: int = PROTOCOL
