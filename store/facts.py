"""What advice is found in: values that the store gives of the last days' newest jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """What a sampler node of a posted graph was told; words of ComfyUI's own lists only."""

    sampler: str
    scheduler: str
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFact:
    """An ended job."""

    id: str
    user: str
    fingerprint: str
    model: str
    state: str
    reason: str
    gpu: str
    worker: str
    needs_gpu: bool
    reserved_bytes: int
    peak_bytes: int
    run_seconds: float
    submitted_ms: int
    admitted_ms: int
    started_ms: int
    ended_ms: int
    #: hash of its graph without what changes no picture; "": the graph was not read
    digest: str = ""
    #: by node
    sampling: Mapping[str, Sampling] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFact:
    """A node that ran (nothing cached): of a VAE, of a sampler, or one that failed."""

    job: str
    user: str
    node: str
    class_type: str
    started_ms: int
    seconds: float
    failed: bool
    #: type of the exception
    error: str
    before_bytes: int | None
    peak_bytes: int | None
    fallback: str
    #: pictures, and the size of one in pixels; 0: not told
    batch: int
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Of all its pictures."""
        return self.batch * self.width * self.height


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFact:
    """What a probe saw of a job's last attempt."""

    job: str
    user: str
    worker: str
    gpu: str
    started_ms: int
    seconds: float
    nodes: int
    cached: int
    peak_reserved: int | None
    allocated_after: int | None
    #: outputs that stay in ComfyUI's cache
    retained_bytes: int
    limit_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveFact:
    """A model that came to a device or left it."""

    worker: str
    boot: str
    at_ms: int
    job: str
    node: str
    load: bool
    model: str
    bytes: int
    loaded_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitFact:
    """Time that a user's jobs waited within a minute, for one reason."""

    minute_ms: int
    user: str
    reason: str
    blocker: str
    job_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuHour:
    """A GPU's hour: minutes of which something is known, and those in which it was idle."""

    gpu: str
    hour_ms: int
    known: int
    idle: int
    total_bytes: int
    foreign_bytes: int
    temperature: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFact:
    """A GPU as it was when it was last read."""

    gpu: str
    total_bytes: int
    foreign_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCount:
    """How often nodes of a class ran."""

    class_type: str
    runs: int
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All of it; lists oldest first."""

    from_ms: int
    until_ms: int
    jobs: tuple[JobFact, ...] = ()
    nodes: tuple[NodeFact, ...] = ()
    prompts: tuple[PromptFact, ...] = ()
    moves: tuple[MoveFact, ...] = ()
    waits: tuple[WaitFact, ...] = ()
    hours: tuple[GpuHour, ...] = ()
    #: minute → GPUs that held no reservation all through it
    idle: Mapping[int, frozenset[str]] = field(default_factory=dict)
    classes: tuple[ClassCount, ...] = ()
    #: those that were read in the last minutes; none: nobody reads them now
    cards: tuple[CardFact, ...] = ()
