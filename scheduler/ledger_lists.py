"""What a user's lists are made of: the part of the ledger that is read over and over.

Browsers ask for queue and history at each change, scripts poll. So one small question tells
whether anything of the user's has changed (``changed``), and what never changes of a job
(``heads``) is read once, however long the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scheduler.states import Job


@dataclass(frozen=True, slots=True)
class Listing:
    """All jobs that a user's queue and history show, at one instant."""

    #: as ``ListSide.changed`` names it
    changed: str
    #: in the order they were admitted
    active: tuple[str, ...]
    #: QUEUED ones with their ``number``, in queue order, held ones at their place
    waiting: tuple[tuple[str, int], ...]
    #: with the settle event's score (it tells two ends of one job apart), oldest first
    ended: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class JobHead:
    """What is shown of a job in a long list, and never changes."""

    prompt_id: str
    client_id: str | None
    submitted_ms: int


@dataclass(frozen=True, slots=True)
class JobEntry:
    """One job with what was posted and what came of it; None where there is none (any more)."""

    job: Job
    prompt: bytes | None
    result: bytes | None


class ListSide(Protocol):
    """What a gateway needs to answer the same question often. Every call is scoped to one user."""

    async def changed(self, user: str) -> str:
        """Names the present state of the user's jobs: another name after each change.

        A change is a transition of any of the user's jobs, and what ``hide`` or ``trim`` drops.
        """
        ...

    async def stamp(self, user: str) -> None:
        """Give them another name: what the store shows of the user's jobs has changed."""
        ...

    async def listing(self, user: str) -> Listing:
        """Which jobs the user has, in their orders."""
        ...

    async def heads(self, job_ids: Sequence[str]) -> list[JobHead | None]:
        """What never changes of these jobs, in the order asked; None: trimmed."""
        ...

    async def first_held(self, user: str, count: int) -> list[Job]:
        """The first of the user's jobs that are held, in queue order."""
        ...

    async def entry(self, user: str, prompt_id: str) -> JobEntry | None:
        """The user's job that its client knows by this id; None too when it was hidden."""
        ...
