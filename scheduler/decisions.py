"""What a plan decides, and the sentences it has for those who wait (values)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.ledger_values import Grant
from scheduler.states import FailReason, Job, WaitReason, Worker


@dataclass(frozen=True, slots=True)
class Admit:
    """Start this job there, with this promise."""

    job: Job
    worker: Worker
    grant: Grant


@dataclass(frozen=True, slots=True)
class Release:
    """Make this idle worker give its residency back."""

    worker: Worker


@dataclass(frozen=True, slots=True)
class Reserve:
    """This blocked job is next on that GPU, where it should have room at ``at_ms``.

    Others start there only if they do not make it later. Nothing is written for it.
    """

    job: Job
    gpu: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Preempt:
    """Interrupt this running job so that the other one can start."""

    job: Job
    for_job: Job


@dataclass(frozen=True, slots=True)
class Refuse:
    """End this queued job FAILED: it must not or cannot run any more."""

    job: Job
    reason: FailReason
    message: str


Decision = Admit | Release | Reserve | Preempt | Refuse


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a job has not started, in words for its user, and what blocks it."""

    job: Job
    reason: WaitReason
    detail: str
    #: id of the GPU, worker or job in the way; "": none in particular
    blocker: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan: what to do, and why the rest waits."""

    decisions: tuple[Decision, ...]
    #: of each user who still waits, the first job that could not start
    blocked: Mapping[str, Wait] = field(default_factory=dict)
    #: server time at which a plan of the same books would decide something else; 0: never
    again_ms: int = 0
    #: jobs that no running worker has the nodes or models for
    lacking: tuple[Wait, ...] = ()
