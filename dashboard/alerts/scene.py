"""All that rules look at, at one moment: values, nothing that has to be asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.states import Snapshot
from store.sights import EndedJob, LongRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What a user or group has used of a month's budgets, GPU µs; None: no such budget."""

    #: ``user:<name>`` or ``group:<name>``
    subject: str
    #: "": a group's
    user: str
    group: str
    used_us: int
    soft_us: float | None
    hard_us: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One moment."""

    now_ms: int
    snapshot: Snapshot
    #: an agent that has been silent for longer is away: its figures are old
    silent_ms: int
    #: workers and agents that are to take nothing: they may be down
    drained: frozenset[str] = frozenset()
    #: failures in a row after which a worker takes no jobs for a while
    quarantine_failures: int = 3
    #: nodes that took long, newest first
    long_runs: Sequence[LongRun] = ()
    #: jobs that ended lately, newest first
    ended: Sequence[EndedJob] = ()
    spending: Sequence[Spending] = ()
    #: how long what happened has been waiting for the store; None: not known
    behind_ms: int | None = None
    #: GPU → (ms, share of its memory that other processes hold), oldest first
    foreign: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    #: (ms, jobs that wait), oldest first
    queue: Sequence[tuple[int, float]] = ()
    #: how far ahead early warnings look
    horizon_ms: int = 1_800_000
