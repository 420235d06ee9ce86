"""What an admin set and what the leader knows, as a plan needs it (values)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.placement import Safety
from scheduler.states import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Share and caps of one user, one group or the pool; None: no cap."""

    #: share relative to the others of the same level, above 0
    weight: float = 1.0
    max_running: int | None = None
    #: share (0–1] of the pool's capacity that running jobs may be promised
    vram_share: float | None = None
    #: patterns (``fnmatch``) of workers, agents or GPU names that may be used; empty: all
    workers: tuple[str, ...] = ()
    #: says that this month's budget is used up, with figures: nothing more starts; "": it is not
    used_up: str = ""
    #: True: what was to be used this month is used; everybody else goes first
    after_others: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Preemption:
    """When an interactive job may interrupt a batch job (research 4.8)."""

    #: only victims that have run for less than this share of their expected time
    most_progress: float = 0.3
    #: share of GPU time of the last hour that interrupted attempts may have cost
    most_waste: float = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is known of one model: how often it is asked for, and what loading it costs."""

    #: requests per second, recent ones counting more
    rate: float
    load_seconds: float
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanConfig:
    """Everything that a plan depends on beside the snapshot."""

    safety: Safety
    pool: Limits = field(default_factory=Limits)
    #: says why nothing new starts, and until when; "": it does
    closed: str = ""
    users: Mapping[str, Limits] = field(default_factory=dict)
    groups: Mapping[str, Limits] = field(default_factory=dict)
    #: waiting users that one plan looks at, those with the least counters
    heads: int = 32
    #: a user's first job is passed by later jobs (anybody's) at most this often …
    max_skips: int = 64
    #: … or for this long; then it has the next place that can hold it
    aging_ms: int = 1_200_000
    #: True: a user's own jobs never overtake each other
    strict_order: bool = False
    #: models loaded at the same time onto one GPU
    cold_loads: int = 1
    #: workers and GPUs silent for longer take no job, as ``admit`` would refuse it
    heartbeat_ms: int = 10_000
    #: after so long a job no longer waits for other processes to leave a GPU
    resigned_ms: int = 600_000
    #: failures in a row after which a worker rests, and for how long (doubled each time)
    quarantine_failures: int = 3
    quarantine_ms: int = 60_000
    #: None: running jobs are never interrupted
    preemption: Preemption | None = None
    #: share of the pool's time of the last hour that interrupted attempts cost
    wasted_share: float = 0.0
    #: bytes each worker still held after its last release
    floors: Mapping[str, int] = field(default_factory=dict)
    #: the same of its machine's memory
    host_floors: Mapping[str, int] = field(default_factory=dict)
    #: by model (``folder/name``)
    demand: Mapping[str, Demand] = field(default_factory=dict)
    #: by job, a smaller reservation that its run may try (``scheduler.exploration``)
    trials: Mapping[str, Step] = field(default_factory=dict)
    #: jobs that the ledger has just refused to admit: not offered again for a moment
    refused: frozenset[str] = frozenset()
    #: until then batch jobs do not start (a peak of interactive work is predicted; 0: none) …
    hold_until_ms: int = 0
    #: … but those that were sent so long ago do, where no interactive job does …
    hold_ms: int = 14_400_000
    #: … from then on
    hold_old_until_ms: int = 0
