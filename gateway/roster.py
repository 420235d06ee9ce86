"""A user's jobs as lists need them: read again at each change, but of each job only once.

A queue of ten thousand changes with every prompt that starts; then only ids and numbers are
read, and what never changes of a job comes from memory.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from gateway.ports import PastHead
from gateway.shelf import Shelf
from scheduler.ledger import Ledger
from scheduler.ledger_lists import JobHead
from scheduler.states import Job

#: users whose waiting jobs are remembered, and jobs of all of them
_USERS: Final = 256
_HEADS: Final = 100_000
#: of what ended jobs are sorted by
_ENDS_BYTES: Final = 16 * 2**20
#: seconds that pieces are kept after their last use: an open page asks more often
_IDLE_S: Final = 120.0
#: of bodies of prompts and results as they are shown
_SHOWN_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Waiting:
    """One QUEUED job."""

    id: str
    number: int
    head: JobHead


@dataclass(frozen=True, slots=True)
class Roster:
    """All jobs that a user's lists show, at one instant."""

    #: in the order they were admitted; one may have ended since
    active: tuple[Job, ...]
    waiting: tuple[Waiting, ...]
    #: id and score of those that have ended, oldest first
    ended: tuple[tuple[str, int], ...]


class Rosters:
    """Reads rosters, and remembers what never changes."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._heads: OrderedDict[str, dict[str, JobHead]] = OrderedDict()
        #: pieces of answers that hold as long as their key means anything
        self.shown: Shelf[bytes] = Shelf(_SHOWN_BYTES, idle_s=_IDLE_S)
        #: by id and score
        self.ends: Shelf[PastHead] = Shelf(_ENDS_BYTES, idle_s=_IDLE_S)

    async def read(self, user: str) -> Roster:
        """The user's jobs now.

        Raises:
            LedgerUnavailable: they cannot be read.
        """
        listing = await self._ledger.listing(user)
        heads = await self._heads_of(user, [job_id for job_id, _ in listing.waiting])
        active = await self._ledger.jobs(listing.active) if listing.active else []
        return Roster(
            active=tuple(job for job in active if job is not None),
            waiting=tuple(
                Waiting(job_id, number, heads[job_id])
                for job_id, number in listing.waiting
                if job_id in heads
            ),
            ended=listing.ended,
        )

    async def _heads_of(self, user: str, job_ids: list[str]) -> dict[str, JobHead]:
        known = self._heads.get(user, {})
        new = [job_id for job_id in job_ids if job_id not in known]
        found = zip(new, await self._ledger.heads(new), strict=True) if new else ()
        fresh = {job_id: head for job_id, head in found if head is not None}
        # those that wait no longer are forgotten
        heads = {
            id_: known.get(id_) or fresh[id_] for id_ in job_ids if id_ in known or id_ in fresh
        }
        self._heads[user] = heads
        self._heads.move_to_end(user)
        while len(self._heads) > 1 and self._too_many():
            self._heads.popitem(last=False)
        return heads

    def _too_many(self) -> bool:
        return len(self._heads) > _USERS or sum(map(len, self._heads.values())) > _HEADS
