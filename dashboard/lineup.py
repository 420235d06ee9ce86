"""Everything that waits and runs, in the order in which it is expected to start: pure values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.sample import Held
from scheduler.states import Job, JobState, Snapshot

#: after every time that is foreseen
_NEVER_MS = 2**62


@dataclass(frozen=True, slots=True)
class Standee:
    """A job and its places; 0: it has none, because it runs or is held."""

    job: Job
    #: in the whole pool, and among its user's own
    place: int
    own_place: int

    @property
    def held(self) -> bool:
        """Whether its user keeps it from starting."""
        return self.job.state is JobState.QUEUED and not self.place


@dataclass(frozen=True, slots=True)
class Lineup:
    """Running jobs, oldest first; waiting ones, the next first; held ones."""

    snapshot: Snapshot
    standees: tuple[Standee, ...]

    @property
    def running(self) -> int:
        """Jobs that have a worker."""
        return len(self.snapshot.active)


def line_up(snapshot: Snapshot, held: Sequence[Held]) -> Lineup:
    """Put all jobs in order.

    Whose start is foreseen comes by that time; the others after them, by their place in their
    user's own queue and then by age: whatever is planned next, it is one of each user's first.
    """
    active = sorted(snapshot.active.values(), key=lambda job: (job.admitted_ms, job.id))
    waiting = [
        ((job.start_p50_ms or _NEVER_MS, turn, job.submitted_ms, job.id), job)
        for backlog in snapshot.backlogs
        for turn, job in enumerate(backlog.jobs)
    ]
    waiting.sort(key=lambda one: one[0])
    own: Counter[str] = Counter()
    standees = [Standee(job, 0, 0) for job in active]
    for place, (_, job) in enumerate(waiting, 1):
        own[job.user] += 1
        standees.append(Standee(job, place, own[job.user]))
    standees += [Standee(job, 0, 0) for one in held for job in one.jobs]
    return Lineup(snapshot, tuple(standees))
