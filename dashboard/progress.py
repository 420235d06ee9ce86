"""Where running jobs stand, node by node, as far as their workers tell it.

The gateway hears it from the agents; the dashboard may not know the gateway, so it is handed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The node that a job runs."""

    node: str
    class_type: str = ""
    #: of the node, as ComfyUI says it; 0 of 0: it does not
    value: float = 0.0
    most: float = 0.0
    #: nodes that are over, and in all; 0: not known
    done: int = 0
    nodes: int = 0
    #: ms since the epoch since when this node runs
    since_ms: int = 0


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
