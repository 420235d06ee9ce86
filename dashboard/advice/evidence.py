"""What findings have in common: the jobs that show them, the people, the dots of a chart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from dashboard.advice.finding import Dots, Witness
from dashboard.advice.scene import Scene

#: Jobs that are named, and dots of one row.
_JOBS: Final = 20
_DOTS: Final = 60


class Owned(Protocol):
    """A fact that is somebody's."""

    @property
    def user(self) -> str:
        """Whose."""


def witnesses(scene: Scene, jobs: Iterable[tuple[str, str]]) -> tuple[Witness, ...]:
    """The newest of these (job, note), each job once, newest first."""
    notes = dict(jobs)
    known = [scene.jobs[job] for job in notes if job in scene.jobs]
    newest = sorted(known, key=lambda job: (-job.ended_ms, job.id))[:_JOBS]
    return tuple(Witness(job.id, job.user, job.ended_ms, notes[job.id]) for job in newest)


def users_of(facts: Iterable[Owned]) -> tuple[str, ...]:
    """Whose these are."""
    return tuple(sorted({fact.user for fact in facts}))


def dots(name: str, values: Iterable[float]) -> Dots:
    """The newest of these, which are given oldest first."""
    return Dots(name, tuple(float(f"{value:.6g}") for value in list(values)[-_DOTS:]))
