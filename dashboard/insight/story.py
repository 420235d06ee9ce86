"""A job's life up to its end: what it waited for, and each try (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.api.job_shapes import StoryStep, Waiting, WaitShare
from dashboard.insight.record import Found
from dashboard.overview import OTHERS
from scheduler.states import Job, JobState
from store.job_list import Waited

#: Shares below this are not worth a line.
_LEAST_SHARE = 0.01


def steps(found: Found, attempts: Sequence[Mapping[str, Any]], now_ms: int) -> list[StoryStep]:
    """Stretches of time, oldest first.

    Args:
        found: the job.
        attempts: rows of ``store.schema.attempts``, by number.
        now_ms: for a job that still runs, and whose start is not in the store yet.
    """
    head, told = found.head, list(attempts)
    if not told and head.attempts and head.admitted_ms:
        told = [_by_the_ledger(found)]
    listed: list[StoryStep] = []
    since = head.submitted_ms
    for row in told:
        admitted = row["admitted_ms"] or row["claimed_ms"] or row["ended_ms"]
        if admitted is None:
            continue
        if since and admitted > since:
            listed.append(_waiting(row["attempt"], since, admitted))
        listed += _try(row, admitted)
        since = row["ended_ms"] or 0
    if not found.ended and head.state == JobState.QUEUED.value and (since or not told):
        listed.append(_waiting(head.attempts + 1, since or head.submitted_ms, None))
    elif found.ended and since and head.ended_ms > since and not _ends(listed):
        # it ended in the queue: cancelled, expired, or refused there
        final = _waiting(head.attempts + 1, since, head.ended_ms)
        listed.append({**final, "state": head.state, "reason": head.reason or ""})
    return listed


def _try(row: Mapping[str, Any], admitted: int) -> list[StoryStep]:
    base: StoryStep = {
        "what": "starting",
        "attempt": row["attempt"],
        "from_ms": admitted,
        "until_ms": row["claimed_ms"] or row["ended_ms"],
        "state": "",
        "reason": "",
        "worker": row["worker"] or "",
        "gpu": row["gpu"] or "",
        "reserved_bytes": row["reserved_bytes"] or 0,
    }
    end = {"state": row["state"] or "", "reason": row["reason"] or ""}
    if row["claimed_ms"] is None:
        return [{**base, **end}]  # type: ignore[typeddict-item]
    running: StoryStep = {
        **base,
        **end,  # type: ignore[typeddict-item]
        "what": "running",
        "from_ms": row["claimed_ms"],
        "until_ms": row["ended_ms"],
    }
    return [base, running] if row["claimed_ms"] > admitted else [running]


def _by_the_ledger(found: Found) -> Mapping[str, Any]:
    """What the job's own record says of its last attempt, where no row does (yet)."""
    head = found.head
    return {
        "attempt": head.attempts,
        "admitted_ms": head.admitted_ms,
        "claimed_ms": head.started_ms or None,
        "ended_ms": head.ended_ms or None,
        "state": head.state if found.ended else "",
        "reason": head.reason,
        "worker": head.worker,
        "gpu": head.gpu,
        "reserved_bytes": head.reserved_bytes,
    }


def _waiting(attempt: int, from_ms: int, until_ms: int | None) -> StoryStep:
    return {
        "what": "waiting",
        "attempt": attempt,
        "from_ms": from_ms,
        "until_ms": until_ms,
        "state": "",
        "reason": "",
        "worker": "",
        "gpu": "",
        "reserved_bytes": 0,
    }


def _ends(listed: Sequence[StoryStep]) -> bool:
    """Whether the last stretch is the job's end."""
    return bool(listed) and listed[-1]["state"] not in ("", JobState.QUEUED.value)


def waited(rows: Sequence[Waited], user: str, *, sees_all: bool) -> list[WaitShare]:
    """Shares of the time that the user's jobs waited, by reason.

    Whose job was in the way is told to admins and to its owner.
    """
    total = sum(row.job_ms for row in rows)
    sums: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row.reason, _blocker(row.blocker, user, sees_all=sees_all))
        sums[key] = sums.get(key, 0) + row.job_ms
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return [
        {"reason": reason, "blocker": blocker, "share": round(job_ms / total, 4)}
        for (reason, blocker), job_ms in ordered
        if total and job_ms / total >= _LEAST_SHARE
    ]


def _blocker(blocker: str, user: str, *, sees_all: bool) -> str:
    if sees_all or not blocker.startswith("user:") or blocker == f"user:{user}":
        return blocker
    return f"user:{OTHERS}"


def waiting(job: Job | None, *, sees_all: bool) -> Waiting | None:
    """What keeps a job that is queued now; None: it is not."""
    if job is None or job.state is not JobState.QUEUED:
        return None
    return {
        "reason": job.wait_reason.value if job.wait_reason else "",
        "detail": job.wait_detail,
        # another user's job is not an artist's to know, and ids of GPUs and jobs look alike
        "blocker": job.wait_blocker if sees_all else "",
        "start_p50_ms": job.start_p50_ms,
        "start_p90_ms": job.start_p90_ms,
    }
