"""A user's lists as they were read last, kept in step by what has changed since.

Ten thousand waiting jobs are a megabyte to read, and each that starts changes the list. So what
was read is kept, and the server asked for the few jobs that have moved (``listing.lua``).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from scheduler.bookkeeping import number_at

#: users whose lists are kept, and jobs of all of them together
_USERS: Final = 256
_JOBS: Final = 100_000
#: seconds after which all is read anew, whatever was told meanwhile
_MAX_AGE_S: Final = 60.0


@dataclass(slots=True)
class Ranked:
    """Jobs by score; equal scores by id."""

    #: what is shown of a score
    show: Callable[[int], int] = int
    _scores: dict[str, int] = field(default_factory=dict)
    _order: list[tuple[int, str]] = field(default_factory=list)
    #: id and what is shown of the score, in the same order
    _shown: list[tuple[str, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._order)

    def fill(self, jobs: Iterable[tuple[str, int]]) -> None:
        """Take these in place of all."""
        self._scores = dict(jobs)
        self._order = sorted((score, id_) for id_, score in self._scores.items())
        self._shown = [(id_, self.show(score)) for score, id_ in self._order]

    def put(self, id_: str, score: int | None) -> None:
        """One job's score now; None: it is not here (any more)."""
        old = self._scores.get(id_)
        if old == score:
            return
        if old is not None:
            del self._scores[id_]
            at = bisect_left(self._order, (old, id_))
            del self._order[at], self._shown[at]
        if score is not None:
            self._scores[id_] = score
            at = bisect_left(self._order, (score, id_))
            self._order.insert(at, (score, id_))
            self._shown.insert(at, (id_, self.show(score)))

    def shown(self) -> tuple[tuple[str, int], ...]:
        """Ids with what is shown of their scores, in order."""
        return tuple(self._shown)


@dataclass(slots=True)
class Kept:
    """One user's lists."""

    #: when all of it was read, in the caller's seconds
    at: float
    #: the state that they are of
    changed: str = ""
    stamps: str = ""
    #: with their numbers
    waiting: Ranked = field(default_factory=lambda: Ranked(number_at))
    ended: Ranked = field(default_factory=Ranked)

    @property
    def jobs(self) -> int:
        """How many it has."""
        return len(self.waiting) + len(self.ended)

    def move(self, words: Sequence[str]) -> None:
        """Take what ``listing.lua`` tells of changed jobs: id, and scores in queue, held, done."""
        for at in range(0, len(words), 4):
            id_, queued, held, done = words[at : at + 4]
            self.waiting.put(id_, _score(queued) if held == "-" else _score(held))
            self.ended.put(id_, _score(done))


class Listings:
    """The lists of the users who were asked about last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def get(self, user: str, now_s: float) -> Kept | None:
        """The user's lists as they were read last; None: never, or too long ago."""
        found = self._kept.get(user)
        if found is None or now_s - found.at > _MAX_AGE_S:
            return None
        self._kept.move_to_end(user)
        return found

    def put(self, user: str, kept: Kept) -> None:
        """Keep these in place of the ones before; what is read anew in any case goes."""
        self._kept[user] = kept
        self._kept.move_to_end(user)
        old = [one for one, lists in self._kept.items() if kept.at - lists.at > _MAX_AGE_S]
        for one in old:
            del self._kept[one]
        while len(self._kept) > 1 and self._too_many():
            self._kept.popitem(last=False)

    def _too_many(self) -> bool:
        return len(self._kept) > _USERS or sum(one.jobs for one in self._kept.values()) > _JOBS


def _score(word: str) -> int | None:
    return None if word == "-" else int(word)
