"""What live pages are told: made once for everybody with the same name and role, kept for a while.

So 200 pages cost as many sends, and a page that was away gets what it has missed.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from config.settings import Role
from dashboard.live_rows import LiveRows
from dashboard.sampler import Sampler
from dashboard.tables import Delta, Tables, delta, merged

#: Differences that a view remembers: at two a second, two minutes.
_REMEMBERED: Final = 240
#: A view that nobody watches is forgotten after so many seconds.
_KEPT_SECONDS: Final = 60.0
#: Views that nobody watches at most.
_KEPT_VIEWS: Final = 256


class View:
    """What pages of one person show, as versions that grow by one with each change."""

    def __init__(self, rows: LiveRows, life: str, sampler: Sampler) -> None:
        self.rows = rows
        self.life = life
        self.version = 0
        #: pages that show it
        self.pages = 0
        self._sampler = sampler
        self._seen = 0
        self._now_ms = 0
        self._tables: Tables = {}
        #: the time of the version before, and what turns that into the next
        self._changes: deque[tuple[int, Delta]] = deque(maxlen=_REMEMBERED)
        self._newest = ""

    def advance(self) -> None:
        """Look at the newest sample; another version if anything of it is different."""
        sample = self._sampler.sample
        if sample is None or self._seen == self._sampler.version:
            return
        self._seen = self._sampler.version
        tables = self.rows.tables(sample, self._sampler.standings)
        change = delta(self._tables, tables)
        if change == ({}, {}) and self.version:
            return
        self._changes.append((self._now_ms, change))
        self._tables, self._now_ms = tables, sample.now_ms
        self.version += 1
        put, gone = change
        self._newest = _encode(
            {
                "type": "update",
                "version": self.version,
                "now_ms": self._now_ms,
                "put": put,
                "gone": gone,
            }
        )

    def snapshot(self) -> str:
        """Everything, as text of a message."""
        return _encode(
            {
                "type": "snapshot",
                "life": self.life,
                "version": self.version,
                "now_ms": self._now_ms,
                "user": self.rows.user,
                "role": self.rows.role.value,
                "put": self._tables,
                "curves": self._sampler.curves(self.rows.seen),
            }
        )

    def since(self, version: int) -> str:
        """What has changed since a version that this view once had; all of it where forgotten."""
        missed = self.version - version
        if missed == 1:
            return self._newest
        if not 0 < missed <= len(self._changes):
            return self.snapshot()
        changes = [self._changes[-n] for n in range(missed, 0, -1)]
        put, gone = merged(change for _, change in changes)
        return _encode(
            {
                "type": "update",
                "version": self.version,
                "now_ms": self._now_ms,
                "put": put,
                "gone": gone,
                "curves": self._sampler.curves(self.rows.seen, changes[0][0]),
            }
        )


class Board:
    """All views of one process."""

    def __init__(self, sampler: Sampler, clock: Callable[[], float]) -> None:
        """``clock``: any seconds that grow."""
        self._sampler = sampler
        self._clock = clock
        self._life = uuid.uuid4().hex[:12]
        self._views: dict[tuple[str, Role], View] = {}
        self._left: dict[tuple[str, Role], float] = {}
        self._made = 0

    def open(self, user: str, role: Role) -> View:
        """The view of this person, for one more page."""
        self._forget()
        view = self._views.get((user, role))
        if view is None:
            self._made += 1
            rows = LiveRows(user, role)
            view = View(rows, f"{self._life}-{self._made}", self._sampler)
            self._views[user, role] = view
        view.pages += 1
        self._left.pop((user, role), None)
        return view

    def close(self, view: View) -> None:
        """One page fewer; what it has missed is known for a while."""
        view.pages -= 1
        if not view.pages:
            self._left[view.rows.user, view.rows.role] = self._clock()

    def watched(self) -> list[View]:
        """Views with a page."""
        return [view for view in self._views.values() if view.pages]

    def _forget(self) -> None:
        oldest = self._clock() - _KEPT_SECONDS
        for who, at in list(self._left.items()):
            if at < oldest or len(self._left) > _KEPT_VIEWS:
                del self._left[who], self._views[who]


def _encode(message: Mapping[str, object]) -> str:
    return msgspec.json.encode(message).decode()
