"""What a job really does when it runs, which nobody but its worker finds out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

#: what a worker's process holds with nothing loaded
CONTEXT_BYTES: Final = int(1.36 * 2**30)


class Fate(Enum):
    """How a prompt ends if nothing is in its way."""

    GOOD = auto()
    NODE_ERROR = auto()
    #: no kernel runs any more, no frame comes, interrupts are not heard
    HANGS = auto()
    #: its process dies half-way
    KILLS = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One job as it will be. Sizes are bytes."""

    models: Mapping[str, int]
    #: what it computes with beside the weights
    activation_bytes: int
    load_seconds_per_gib: float
    steps: int
    step_seconds: float
    fate: Fate = Fate.GOOD
    #: the estimate it was submitted with is no less than what it takes
    honest: bool = True

    @property
    def need_bytes(self) -> int:
        """Its footprint on a worker that has nothing else loaded."""
        return CONTEXT_BYTES + sum(self.models.values()) + self.activation_bytes

    @property
    def load_seconds(self) -> float:
        """Loading all its models."""
        return sum(self.models.values()) / 2**30 * self.load_seconds_per_gib

    @property
    def run_seconds(self) -> float:
        """Computing alone."""
        return self.steps * self.step_seconds
