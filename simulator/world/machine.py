"""The seam between a world and what computes in it: GPUs and their workers.

A world asks a machine to start and to release, and is told what ended. How long
things take, which models stay loaded and what neighbours cost each other is the
machine's own physics. Times are seconds since the world began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scheduler.ledger_values import Ending, Grant, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one job really takes, whatever its estimate says."""

    #: id of the job
    job: str
    attempt: int
    #: kind of workflow, for machines that know more of some kinds
    kind: str
    models: tuple[str, ...]
    #: bytes of each model once loaded, in the same order
    model_bytes: tuple[int, ...]
    #: device footprint while it runs: models, working set and the process's own
    peak_bytes: int
    #: with its models loaded and the GPU to itself
    run_seconds: float
    #: for all of its models
    load_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One attempt is over; its worker is idle again."""

    worker: str
    job: str
    attempt: int
    ending: Ending
    #: from start to end, loading included
    seconds: float
    #: the part of it that loaded models
    load_seconds: float
    peak_bytes: int
    #: every model was loaded when it started
    warm: bool


@dataclass(frozen=True, slots=True)
class Released:
    """A worker has given its residency back and is idle again."""

    worker: str
    used_bytes: int


Happened = Ended | Released


class Machine(Protocol):
    """GPUs and workers, with a physics of their own."""

    def start(self, now: float, worker: str, work: Work, grant: Grant) -> None:
        """Begin an attempt on an idle worker."""
        ...

    def interrupt(self, now: float, worker: str) -> None:
        """Break the worker's attempt off; ``advance`` tells it as RETURNED."""
        ...

    def release(self, now: float, worker: str) -> None:
        """Make an idle worker give its residency back; ``advance`` tells when it has."""
        ...

    def next_event(self) -> float | None:
        """When something will next happen if nobody interferes; None: never."""
        ...

    def advance(self, now: float) -> Sequence[Happened]:
        """Let time pass, at most to ``next_event``, and tell what happened by then."""
        ...

    def reports(self) -> Sequence[Report]:
        """Heartbeats of the agents whose figures changed since the last call.

        The first call tells of all of them. A worker on which something runs shows
        its memory and models as they will be once loaded.
        """
        ...
