"""What ``dashboard.api.contention`` answers, as types."""

from __future__ import annotations

from typing import TypedDict


class BlockedRow(TypedDict):
    """Time that jobs waited for one reason, summed up over the jobs."""

    #: whose jobs
    user: str
    reason: str
    #: gpu, worker, user, or empty: nothing in particular
    blocker_kind: str
    #: ``others``: somebody else, to users who are no admins
    blocker: str
    job_ms: int


class PeakRow(TypedDict):
    """An hour in which much waited."""

    at_ms: int
    most_queued: int
    most_running: int
    longest_wait_ms: int


class LeastFreeRow(TypedDict):
    """When a GPU had least free memory."""

    gpu: str
    at_ms: int
    free_bytes: int
    #: held by other programs then
    foreign_bytes: int
    total_bytes: int


class NearMissRow(TypedDict):
    """A job that ran out of memory, or used nearly all that it was promised."""

    job: str
    user: str
    fingerprint: str
    title: str
    gpu: str
    ended_ms: int
    reserved_bytes: int
    peak_bytes: int
    #: times that it ran out of memory
    ooms: int


class Contention(TypedDict):
    """Who is in whose way. Waits and near misses are one's own, but for admins."""

    from_ms: int
    until_ms: int
    #: longest first
    blocked: list[BlockedRow]
    #: of the same, all users: counts without names
    blocked_ms: int
    #: those with most waiting first
    peaks: list[PeakRow]
    least_free: list[LeastFreeRow]
    #: newest first
    near_misses: list[NearMissRow]


class HourCell(TypedDict):
    """An hour of the week; means over the span's weeks. None: nothing is known."""

    #: 0: Monday
    weekday: int
    hour: int
    queued: float
    running: float
    #: share of all GPUs' memory that was held, 0…1
    held: float | None
    #: 0…1
    utilisation: float | None


class Week(TypedDict):
    """The heat map, by hours of ``zone``; hours of which nothing is known are not there."""

    from_ms: int
    until_ms: int
    zone: str
    hours: list[HourCell]
