"""What ``dashboard.api.workflows`` answers, as types. Sizes are bytes of device footprint."""

from __future__ import annotations

from typing import TypedDict

from dashboard.api.job_shapes import JobLine, WorkflowName


class WorkflowLine(TypedDict):
    """One kind of workflow within a span; seconds are means over its jobs."""

    workflow: WorkflowName
    model: str
    jobs: int
    failed: int
    #: how many different users; to users who are no admins 1, themselves
    users: int
    gpu_seconds: float
    wait_seconds: float
    #: start of the hour in which it was last used
    last_ms: int


class WorkflowList(TypedDict):
    """Those with most GPU time first."""

    from_ms: int
    until_ms: int
    workflows: list[WorkflowLine]


class WorkflowDay(TypedDict):
    """A day of the asker's time zone. Days without jobs are left out."""

    at_ms: int
    jobs: int
    failed: int
    gpu_seconds: float


class NodeLine(TypedDict):
    """Nodes of one class: of everybody's jobs for admins, of one's own newest for others."""

    class_type: str
    runs: int
    cached: int
    failures: int
    fallbacks: int
    seconds: float
    longest: float
    peak_bytes: int


class FailingLine(TypedDict):
    """A node that failed; ``error`` is the exception's type, ``job`` the last that failed there."""

    node: str
    class_type: str
    error: str
    failures: int
    last_ms: int
    job: str


class ProfileStep(TypedDict):
    """With so much memory a run takes so long; ``measured``: runs have shown it, else formulas say so."""

    bytes: int
    seconds: float
    measured: bool
    #: runs with about so much memory that were seen
    runs: int


class Learned(TypedDict):
    """What is known of a kind from its runs; 0: nothing yet.

    ``need_bytes`` and ``late_seconds`` are bounds that hardly any run exceeds, ``usual_…`` what half
    of the runs stay within. ``floor_bytes``: it does not start with less. ``needed_bytes``: a
    probe's word on what it could not do without. ``too_small_bytes``: ran out of memory with it.
    """

    runs: int
    learned_ms: int
    need_bytes: int
    usual_bytes: int
    run_seconds: float
    late_seconds: float
    load_seconds: float
    floor_bytes: int
    needed_bytes: int
    too_small_bytes: int
    #: times in a row that it ran out of memory alone on a whole GPU
    whole_ooms: int
    #: fewest bytes first; the last one is the comfortable peak
    curve: list[ProfileStep]


class EstimateErrors(TypedDict):
    """Promises against what came of them, over the asker's newest runs.

    ``classes`` count runs by relative error; the upper edges are ``edges``, the last is open.
    """

    runs: int
    #: needed more than promised, or took longer than expected
    under: int
    #: median relative error, null: nothing to compare
    median: float | None
    edges: list[float]
    classes: list[int]


class WorkflowDetail(TypedDict):
    """One kind of workflow."""

    from_ms: int
    until_ms: int
    workflow: WorkflowName
    days: list[WorkflowDay]
    nodes: list[NodeLine]
    failing: list[FailingLine]
    #: null: nothing was learned of it, or the queue does not say
    learned: Learned | None
    byte_errors: EstimateErrors
    second_errors: EstimateErrors
    #: newest first: those that the errors are of, and others that ended in the span
    runs: list[JobLine]
