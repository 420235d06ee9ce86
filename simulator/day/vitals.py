"""What the cards of a simulated day feel like: load, heat, power."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

#: °C without work, and with a GPU at full load; the time in which two thirds of the way are made
_COOL_C: Final = 36.0
_HOT_C: Final = 78.0
_WARMS_S: Final = 90.0
#: power without work, and at full load
_IDLE_MW: Final = 32_000
_FULL_MW: Final = 340_000
#: load of one running job, and of two that share the card
_LOADS: Final = (0.0, 0.93, 0.985)


@dataclass(frozen=True, slots=True)
class Vitals:
    """One reading."""

    utilisation: float
    temperature_c: int
    power_mw: int


class Card:
    """One GPU's heat over time."""

    def __init__(self, seed: str) -> None:
        self._rng = random.Random(seed)
        self._heat = _COOL_C

    def read(self, running: int, seconds: float) -> Vitals:
        """After so many more seconds with so many running jobs."""
        load = _LOADS[min(running, len(_LOADS) - 1)]
        if load:
            load = min(1.0, max(0.0, load + self._rng.gauss(0, 0.02)))
        target = _COOL_C + (_HOT_C - _COOL_C) * load
        self._heat += (target - self._heat) * (1 - math.exp(-seconds / _WARMS_S))
        power = _IDLE_MW + (_FULL_MW - _IDLE_MW) * load
        return Vitals(round(load, 3), round(self._heat), round(power))
