"""How right the estimates were: counted with each run that was promised something (pure)."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, replace
from typing import Final

#: Upper edges of relative errors; the last class is open.
_EDGES: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Promises against what came of them."""

    #: runs by relative error of the bytes, classes up to 1, 2, 5, 10, 20, 50, 100 % and beyond
    byte_errors: tuple[int, ...] = ()
    #: of these, runs that needed more than they were promised
    under: int = 0
    #: the same classes for expected seconds
    second_errors: tuple[int, ...] = ()
    #: of these, runs within the bound of their seconds
    covered: int = 0

    @property
    def byte_runs(self) -> int:
        """Runs whose bytes were compared."""
        return sum(self.byte_errors)

    @property
    def second_runs(self) -> int:
        """Runs whose seconds were compared."""
        return sum(self.second_errors)

    @property
    def under_share(self) -> float:
        """Share of runs that needed more bytes than promised."""
        return self.under / self.byte_runs if self.byte_runs else 0.0

    @property
    def covered_share(self) -> float:
        """Share of runs that ended within the bound of their seconds; 1 with none."""
        return self.covered / self.second_runs if self.second_runs else 1.0

    @property
    def byte_error(self) -> float | None:
        """Median relative error of the bytes (upper edge of its class); None: nothing compared."""
        return _median(self.byte_errors)

    @property
    def second_error(self) -> float | None:
        """Median relative error of the expected seconds; None: nothing compared."""
        return _median(self.second_errors)


def count_bytes(accuracy: Accuracy, promised: float, needed: float) -> Accuracy:
    """One more run that was promised so many bytes and needed so many."""
    errors = _counted(accuracy.byte_errors, promised, needed)
    return replace(accuracy, byte_errors=errors, under=accuracy.under + (needed > promised))


def count_seconds(accuracy: Accuracy, expected: float, late: float, took: float) -> Accuracy:
    """One more run that was expected to take so long, at most ``late``, and took so long."""
    errors = _counted(accuracy.second_errors, expected, took)
    return replace(accuracy, second_errors=errors, covered=accuracy.covered + (took <= late))


def _counted(classes: tuple[int, ...], said: float, true: float) -> tuple[int, ...]:
    if true <= 0:
        return classes
    counts = list(classes or (0,) * (len(_EDGES) + 1))
    counts[min(len(counts) - 1, bisect.bisect_left(_EDGES, abs(said - true) / true))] += 1
    return tuple(counts)


def _median(classes: tuple[int, ...]) -> float | None:
    total = sum(classes)
    if not total:
        return None
    seen = 0
    for count, edge in zip(classes, (*_EDGES, float("inf")), strict=False):
        seen += count
        if 2 * seen >= total:
            return edge
    return None
