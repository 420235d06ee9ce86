"""Where running jobs stand, node by node, as far as their workers tell it.

The gateway hears it from the agents; the dashboard may not know the gateway, so it is handed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from scheduler.live import Standing


class Progress(Protocol):
    """Tells where jobs stand."""

    def follow(self, users: frozenset[str]) -> None:
        """From now on, hear of the running jobs of these users (and of no others for us)."""
        ...

    def standings(self) -> Mapping[str, Standing]:
        """Where they stand, by job."""
        ...


class NoProgress:
    """Nobody tells."""

    def follow(self, users: frozenset[str]) -> None:
        """There is nothing to hear."""

    def standings(self) -> Mapping[str, Standing]:
        """Nothing is known."""
        return {}
