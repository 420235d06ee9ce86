"""A user's jobs as lists need them: read again at each change, but of each job only once.

A queue of ten thousand changes with every prompt that starts; then only ids and numbers are
read, and what never changes of a job comes from memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.ports import PastHead
from gateway.shelf import Shelf
from scheduler.ledger import Ledger
from scheduler.ledger_lists import JobHead
from scheduler.states import Job

#: users whose waiting jobs are remembered, and jobs of all of them
_USERS: Final = 256
_JOBS: Final = 100_000
#: jobs that are read, and put into words, before others get their turn
_SLICE: Final = 500
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
    #: as its own user's ``/queue`` shows it in a long list: number, id and client_id
    item: bytes


@dataclass(frozen=True, slots=True)
class Roster:
    """All jobs that a user's lists show, at one instant."""

    #: in the order they were admitted; one may have ended since
    active: tuple[Job, ...]
    waiting: tuple[Waiting, ...]
    #: id and score of those that have ended, oldest first
    ended: tuple[tuple[str, int], ...]


def bare_item(number: int, prompt_id: str, client_id: str | None) -> bytes:
    """An item of ``/queue`` without what was posted."""
    extra = {} if client_id is None else {"client_id": client_id}
    return msgspec.json.encode([number, prompt_id, {}, extra, []])


class Rosters:
    """Reads rosters, and remembers what never changes."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        #: by id and number, which another place in the queue changes
        self._known: OrderedDict[str, dict[tuple[str, int], Waiting]] = OrderedDict()
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
        waiting = await self._waiting_of(user, listing.waiting)
        active = await self._ledger.jobs(listing.active) if listing.active else []
        return Roster(
            active=tuple(job for job in active if job is not None),
            waiting=waiting,
            ended=listing.ended,
        )

    async def _waiting_of(
        self, user: str, places: Sequence[tuple[str, int]]
    ) -> tuple[Waiting, ...]:
        known = self._known.get(user, {})
        if known:
            self._known.move_to_end(user)
        new = [place for place in places if place not in known]
        if new:
            fresh = await self._read(new)
            # those that wait no longer are forgotten, once they are many
            if len(known) + len(fresh) > 2 * len(places):
                known = {place: known[place] for place in places if place in known}
            known |= fresh
            self._keep(user, known)
        # a list of ten thousand is gone through without a line of Python for each
        return tuple(filter(None, map(known.get, places)))

    async def _read(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Waiting]:
        """What never changes of these; those that were trimmed meanwhile are left out."""
        found: dict[tuple[str, int], Waiting] = {}
        for start in range(0, len(places), _SLICE):
            part = places[start : start + _SLICE]
            heads = await self._ledger.heads([job_id for job_id, _ in part])
            found |= {
                place: Waiting(*place, head, bare_item(place[1], head.prompt_id, head.client_id))
                for place, head in zip(part, heads, strict=True)
                if head is not None
            }
        return found

    def _keep(self, user: str, known: dict[tuple[str, int], Waiting]) -> None:
        self._known[user] = known
        self._known.move_to_end(user)
        while len(self._known) > 1 and self._too_many():
            self._known.popitem(last=False)

    def _too_many(self) -> bool:
        return len(self._known) > _USERS or sum(map(len, self._known.values())) > _JOBS
