"""How far this gateway has shown what the ledger's stream tells.

A client that changes from one gateway to another has heard some ends there that are still
to be shown here. It is let in once they have been.
"""

from __future__ import annotations

import asyncio

#: an event's place in the stream: milliseconds, and a count within them
_Place = tuple[int, int]


class Past:
    """Where the follower is, and where each user's lane is."""

    def __init__(self) -> None:
        self._read: _Place = (0, 0)
        #: by user: the oldest event that is not shown yet
        self._showing: dict[str, _Place] = {}
        self._moved = asyncio.Event()

    def reached(self, event_id: str) -> None:
        """All events up to this one were read, and those to be shown are in their lanes."""
        self._read = _place(event_id)
        self._tell()

    def showing(self, user: str, event_id: str) -> None:
        """This is the oldest event that the user has not been shown."""
        self._showing[user] = _place(event_id)
        self._tell()

    def all_shown(self, user: str) -> None:
        """The user has been shown everything that was read."""
        self._showing.pop(user, None)
        self._tell()

    async def shown(self, user: str, event_id: str) -> None:
        """Wait until the user has been shown all events up to this one."""
        wanted = _place(event_id)
        while self._read < wanted or self._showing.get(user, (wanted[0] + 1, 0)) <= wanted:
            await self._moved.wait()

    def _tell(self) -> None:
        # whoever waits looks again; the next one waits for the next move
        self._moved.set()
        self._moved = asyncio.Event()


def event_ms(event_id: str) -> int:
    """When an event happened, milliseconds of the server's clock."""
    return _place(event_id)[0]


def _place(event_id: str) -> _Place:
    milliseconds, _, count = event_id.partition("-")
    return int(milliseconds), int(count or 0)
