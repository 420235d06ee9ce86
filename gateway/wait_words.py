"""One line for a person who waits: which place, what for, and until when. Pure."""

from __future__ import annotations

from typing import Final

from scheduler.states import Job, WaitReason

#: where the scheduler's sentence tells only figures
_AHEAD: Final = {
    WaitReason.NO_HEADROOM: "waiting for GPU memory",
    WaitReason.CAP: "waiting at a limit",
    WaitReason.MODEL_MISSING: "waiting for a worker that has its models",
    WaitReason.BUDGET: "waiting for a new budget",
    WaitReason.MAINTENANCE: "waiting for maintenance to end",
}
#: what is longer than this many seconds is told in the next larger unit
_SOON_S: Final = 8
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


def waiting(job: Job, place: int, now_ms: int) -> str:
    """Where a queued job stands.

    Args:
        job: the ledger's record of it.
        place: among its user's jobs that may start, 1 for the first.
        now_ms: server time.
    """
    parts = [_again(job), _place(place), _reason(job, place), _forecast(job, now_ms)]
    return " · ".join(part for part in parts if part)


def started(waited_s: float) -> str:
    """It runs now."""
    return f"started after {_span(waited_s)}"


def ended(waited_s: float, ran_s: float) -> str:
    """It has run."""
    return f"waited {_span(waited_s)}, ran {_span(ran_s)}"


def _again(job: Job) -> str:
    if job.ooms:
        return "ran out of memory, trying again with more"
    if job.preemptions:
        return "made room for another prompt, goes on as soon as there is room"
    if job.losses:
        return "its worker was lost, trying again"
    return ""


def _place(place: int) -> str:
    return "next of your prompts" if place == 1 else f"{place}{_suffix(place)} of your prompts"


def _suffix(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def _reason(job: Job, place: int) -> str:
    if job.wait_reason is None:
        return ""
    if job.wait_reason is WaitReason.FAIRNESS:
        # behind its user's own: the place says that
        return job.wait_detail if place == 1 else ""
    ahead = _AHEAD.get(job.wait_reason)
    if ahead is None:
        return job.wait_detail or job.wait_reason.value.replace("_", " ")
    return f"{ahead} ({job.wait_detail})" if job.wait_detail else ahead


def _forecast(job: Job, now_ms: int) -> str:
    if not job.start_p50_ms:
        return ""
    seconds = (job.start_p50_ms - now_ms) / 1000
    return "starts soon" if seconds < _SOON_S else f"starts in about {_span(seconds)}"


def _span(seconds: float) -> str:
    """``43`` → ``"45 s"``: so coarse that a countdown does not change with each look."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < _SOON_S:
        return f"{seconds:.0f} s"
    if seconds < _MINUTE_S - 2.5:
        return f"{5 * round(seconds / 5)} s"
    if seconds < _HOUR_S - _MINUTE_S / 2:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _HOUR_S:.1f} h"
