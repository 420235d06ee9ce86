"""How long nodes usually take: seconds of earlier runs of their workflow."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Final

#: From so many runs on a node is compared with itself alone, not with its class.
ENOUGH_RUNS: Final = 5


class Usual:
    """Seconds of the compared runs' nodes.

    A node is compared with the very same node where enough runs had it (two samplers of one graph
    take different times), else with all nodes of its class.
    """

    def __init__(self) -> None:
        self._classes: dict[str, list[float]] = defaultdict(list)
        self._nodes: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._jobs: set[str] = set()
        self._sorted = False

    def add(self, job: str, class_type: str, node: str, seconds: float) -> None:
        """One more node of one more run."""
        self._jobs.add(job)
        self._classes[class_type].append(seconds)
        self._nodes[class_type, node].append(seconds)

    def of(self, class_type: str, node: str) -> list[float]:
        """What a node is compared with, sorted."""
        if not self._sorted:
            for seconds in (*self._classes.values(), *self._nodes.values()):
                seconds.sort()
            self._sorted = True
        if self.is_alone(class_type, node):
            return self._nodes[class_type, node]
        return self._classes.get(class_type, [])

    def is_alone(self, class_type: str, node: str) -> bool:
        """Whether enough runs had this very node."""
        return len(self._nodes.get((class_type, node), ())) >= ENOUGH_RUNS

    @property
    def compared(self) -> int:
        """Runs that it is made of."""
        return len(self._jobs)


def quantile(ordered: list[float], share: float) -> float | None:
    """The least of these that at least so many of them do not exceed; None of none."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
