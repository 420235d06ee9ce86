"""What gateways and admin commands share through the ledger besides jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class OverrideSide(Protocol):
    """Admin edits that outlive and outrank the config file."""

    async def overrides(self) -> tuple[int, Mapping[str, str]]:
        """Revision and all overrides: dotted path → JSON text."""
        ...

    async def override(self, changes: Mapping[str, str | None]) -> int:
        """Set (JSON text) or clear (None) overrides; the new revision."""
        ...

    async def override_at(self, revision: int, changes: Mapping[str, str | None]) -> int | None:
        """The same where the revision is still the one given; None: it is not, nothing changed."""
        ...

    async def secret(self, name: str, candidate: str) -> str:
        """A shared secret made once: the candidate, or what another process stored first."""
        ...


class NoteSide(Protocol):
    """Short texts that all gateways know for a while, and that end by themselves."""

    async def note(self, name: str, text: str, ttl_ms: int, *, replace: bool = False) -> str:
        """Keep a text; one that is there already stays unless it is to be replaced.

        Returns:
            What is kept now; its time begins anew.
        """
        ...

    async def noted(self, name: str) -> str | None:
        """The text kept under this name, or None."""
        ...
