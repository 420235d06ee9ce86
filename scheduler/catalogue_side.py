"""What the ledger keeps of the workers' catalogues: a part of ``scheduler.ledger.Ledger``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from scheduler.catalogue import Catalogue


class CatalogueSide(Protocol):
    """Agents put them, everybody reads them; workers name theirs by its digest."""

    async def put_catalogue(self, digest: str, document: bytes) -> None:
        """Keep a catalogue (``scheduler.catalogue.describe``) for a week: before a worker names it.

        Putting it again is the same as once, and begins a new week.
        """
        ...

    async def catalogues(self, digests: Iterable[str]) -> dict[str, Catalogue]:
        """Those of these catalogues that are there, by digest."""
        ...
