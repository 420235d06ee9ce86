"""One process at a time has a duty, wherever how many run: whoever took it keeps it by coming back.

It is a note in the ledger. A process that believes to have it and has not (it stood still for
long) does no harm either: the store takes each look from one only (``store.alert_books``).
"""

from __future__ import annotations

from typing import Final

from scheduler.ledger import NoteSide

#: After so long without a word from its holder anybody may take it.
KEPT_MS: Final = 90_000


class Duty:
    """A duty, as one process sees it."""

    def __init__(self, notes: NoteSide, name: str, holder: str) -> None:
        """``holder``: names this process; no other one is called so."""
        self._notes = notes
        self._name = f"duty:{name}"
        self._holder = holder

    async def mine(self) -> bool:
        """Take it if it is free, keep it if it is ours.

        Raises:
            LedgerUnavailable: nobody knows whose it is.
        """
        # to ask with ``note`` would prolong another's
        holder = await self._notes.noted(self._name)
        if holder not in (None, self._holder):
            return False
        return await self._notes.note(self._name, self._holder, KEPT_MS) == self._holder

    async def leave(self) -> None:
        """Give it up at once, if it is ours.

        Raises:
            LedgerUnavailable: it runs out by itself.
        """
        if await self._notes.noted(self._name) == self._holder:
            await self._notes.note(self._name, self._holder, 1, replace=True)
