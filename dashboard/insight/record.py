"""A job as pages know it, whether the store has it or only the ledger (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.api.job_shapes import JobLine
from scheduler.states import TERMINAL, Job, JobState
from store.job_list import JobHead


@dataclass(frozen=True, slots=True)
class Found:
    """A job.

    Attributes:
        head: what is known of it.
        live: the ledger's record of one that the store has not, or not yet.
        first_admitted_ms: of its first attempt, where that is not the last.
    """

    head: JobHead
    live: Job | None = None
    first_admitted_ms: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return JobState(self.head.state) in TERMINAL


def of_ledger(job: Job) -> Found:
    """A job that has not ended, or that the recorder has yet to write."""
    head = JobHead(
        id=job.id,
        user_name=job.user,
        group_name=job.group,
        prompt_id=job.prompt_id,
        state=job.state.value,
        reason=job.reason.value if job.reason else None,
        lane=job.lane.value,
        fingerprint=job.fingerprint,
        attempts=job.attempt,
        losses=job.losses,
        ooms=job.ooms,
        worker=job.worker,
        gpu=job.gpu,
        needs_gpu=job.needs_gpu,
        need_bytes=job.need_bytes,
        need_seconds=job.need_seconds,
        run_seconds=job.run_seconds,
        reserved_bytes=job.reserved_bytes,
        peak_bytes=job.peak_bytes,
        submitted_ms=job.submitted_ms,
        admitted_ms=job.admitted_ms,
        started_ms=job.started_ms,
        ended_ms=job.ended_ms,
    )
    return Found(head, job)


def line(found: Found, name: str) -> JobLine:
    """A row of a list; ``name``: of its workflow."""
    head = found.head
    return {
        "id": head.id,
        "prompt_id": head.prompt_id,
        "user": head.user_name,
        "group": head.group_name,
        "state": head.state,
        "reason": head.reason or _wait_reason(found.live),
        "lane": head.lane,
        "workflow": {"fingerprint": head.fingerprint, "name": name},
        "worker": head.worker,
        "gpu": head.gpu,
        "attempts": head.attempts,
        "losses": head.losses,
        "ooms": head.ooms,
        "submitted_ms": head.submitted_ms,
        "started_ms": head.started_ms,
        "ended_ms": head.ended_ms,
        "wait_seconds": wait_seconds(found),
        "run_seconds": head.run_seconds,
        "need_bytes": head.need_bytes,
        "need_seconds": head.need_seconds,
        "reserved_bytes": head.reserved_bytes,
        "peak_bytes": head.peak_bytes,
    }


def wait_seconds(found: Found) -> float | None:
    """From submission to its first admission, or to its end where it never had one."""
    head = found.head
    until_ms = found.first_admitted_ms or head.admitted_ms or head.ended_ms
    if not head.submitted_ms or not until_ms:
        return None
    return max(0, until_ms - head.submitted_ms) / 1000


def _wait_reason(job: Job | None) -> str:
    return job.wait_reason.value if job and job.wait_reason else ""
