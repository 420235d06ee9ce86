"""What the store gives back: values that gateways and pages read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from scheduler.states import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class PastJob:
    """An ended job as the store keeps it: enough for ComfyUI's history entry."""

    id: str
    prompt_id: str
    number: int
    client_id: str | None
    state: str
    submitted_ms: int
    #: 0: it never ran
    started_ms: int
    ended_ms: int
    #: body as submitted, JSON object
    prompt: bytes
    #: JSON object ``{"outputs", "status", "meta"}``
    result: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PastHead:
    """What a long list needs of an ended job."""

    id: str
    number: int
    state: str
    created_ms: int
    #: from its start, or from its posting where it never ran, to its end
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One userdata file (a workflow, a stylesheet, …)."""

    path: str
    size_bytes: int
    #: seconds since the epoch
    modified: float
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRequest:
    """One job that ran, as far as scheduling cares."""

    submitted_ms: int
    user: str
    group: str
    lane: Lane
    model: str
    model_bytes: int
    #: loading all its models, expected
    load_seconds: float
    need_bytes: int
    run_seconds: float


class By(StrEnum):
    """What usage is summed up by."""

    USER = "user"
    GROUP = "group"
    WORKFLOW = "workflow"
    MODEL = "model"
    GPU = "gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSum:
    """What one of them used."""

    name: str
    #: start of the stretch that it is the sum of; None: of the whole span
    at_ms: int | None
    #: wall time ÷ jobs running on the GPU
    gpu_us: int
    #: reservation × time
    byte_ms: int
    #: the ledger's cost without weights
    cost_us: int
    energy_mj: int
    jobs: int
    failed: int
    #: summed up over the jobs
    wait_ms: int
