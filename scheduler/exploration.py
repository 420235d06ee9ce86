"""Which jobs may be used in quiet hours to try a smaller reservation (pure).

A curve of time over memory starts as formulas. Runs that got less because others ran
beside them correct it, but a pool with room for all never has such runs, and finds its
curves unknown when it gets busy. So in quiet hours a few batch jobs run with less than they
could have, each kind so often a day at most, and each step until it was seen twice.

Never tried is: anything on an interactive job, while one waits, while a good part of the
workers is busy or a peak is expected; a reservation below the floor, or that ran out of
memory before; one that by the formulas would cost minutes; a job that was tried before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Final

from scheduler.curve import is_known
from scheduler.profile import Profile
from scheduler.states import Job, Lane, Snapshot, Step

#: Workers of which this share is busy are not quiet.
QUIET_SHARE: Final = 0.5
#: Jobs of one plan whose profiles are looked at.
_MOST_JOBS: Final = 8
#: A trial may be expected to take so much longer than with all the memory it likes, seconds.
_MOST_EXTRA_S: Final = 120.0
#: What a run allocated at most leaves out what the allocator cannot use: a little more will do.
_SLACK: Final = 1.03
#: A trial saves at least this share of the comfortable peak.
_LEAST_SAVING: Final = 0.05
_DAY_MS: Final = 86_400_000


def is_quiet(snapshot: Snapshot) -> bool:
    """Whether no interactive job waits, and fewer than half of the GPU workers are busy."""
    waiting = chain.from_iterable(backlog.jobs for backlog in snapshot.backlogs)
    if any(job.lane is Lane.INTERACTIVE for job in waiting):
        return False
    workers = [worker for worker in snapshot.workers if worker.gpu]
    busy = sum(1 for worker in workers if worker.job)
    return bool(workers) and busy < QUIET_SHARE * len(workers)


def trial_of(job: Job, profile: Profile | None) -> Step | None:
    """The reservation that would be worth a try on this job; None: all is known, or nothing is.

    The largest comes first: what it costs in time is least, and each shows more of the way
    down to the next.

    Args:
        job: queued.
        profile: of its kind.
    """
    if job.lane is not Lane.BATCH or job.attempt or not job.curve or job.guess.bytes <= 0:
        return None
    if profile is None or not profile.seconds.seen.weight:
        return None  # without its usual time nobody could tell what less costs
    guessed = job.guess.bytes
    lean = Step(int(_SLACK * profile.needed * guessed), job.need_seconds)
    floor = max(job.curve[0].bytes, int(profile.too_small * guessed) + 1)
    unknown = [
        step
        for step in (*job.curve, lean)
        if floor <= step.bytes <= (1 - _LEAST_SAVING) * job.need_bytes
        and step.seconds - job.need_seconds <= _MOST_EXTRA_S
        and not is_known(profile.slowdowns, step.bytes, guessed)
    ]
    return max(unknown, key=lambda step: step.bytes, default=None)


class Exploration:
    """The leader's count of trials. A new leader counts from none; what was learned stays."""

    def __init__(self) -> None:
        #: kind → server times of its trials of the last day
        self._begun: dict[str, deque[int]] = {}

    def wanted(self, snapshot: Snapshot, daily: int) -> list[Job]:
        """Jobs on which something may be tried now, if their kinds' profiles lack it.

        Args:
            snapshot: the pool.
            daily: trials of one kind within 24 hours; 0: none.
        """
        if daily <= 0 or not is_quiet(snapshot):
            return []
        jobs = chain.from_iterable(backlog.jobs for backlog in snapshot.backlogs)
        free = (job for job in jobs if self._count(job.fingerprint, snapshot.now_ms) < daily)
        found = (job for job in free if job.lane is Lane.BATCH and job.curve and not job.attempt)
        kinds: dict[str, Job] = {}
        for job in found:
            kinds.setdefault(job.fingerprint, job)
            if len(kinds) == _MOST_JOBS:
                break
        return list(kinds.values())

    def trials(
        self, jobs: Iterable[Job], profiles: Mapping[str, Profile | None]
    ) -> dict[str, Step]:
        """What to try, by job."""
        found = {job.id: trial_of(job, profiles.get(job.fingerprint)) for job in jobs}
        return {job: step for job, step in found.items() if step is not None}

    def begun(self, job: Job, now_ms: int) -> None:
        """Count one more."""
        self._begun.setdefault(job.fingerprint, deque()).append(now_ms)

    def _count(self, kind: str, now_ms: int) -> int:
        times = self._begun.get(kind)
        while times and times[0] <= now_ms - _DAY_MS:
            times.popleft()
        if not times:
            self._begun.pop(kind, None)
            return 0
        return len(times)
