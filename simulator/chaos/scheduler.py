"""The real scheduler, its forecasts cut as short as they are on a busy machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from config.settings import Settings
from scheduler.foresight import Foresight
from scheduler.ledger import Ledger
from scheduler.loop import SchedulerLoop

#: what one plan of a forecast takes, seconds: a forecast may look ahead a dozen plans, no more
_STEP_S: Final = 0.08


class VirtualScheduler(SchedulerLoop):
    """``SchedulerLoop`` on a clock that stands still while it computes, but for its forecasts."""

    def __init__(
        self,
        ledger: Ledger,
        settings: Callable[[], Settings],
        owner: str,
        clock: Callable[[], float],
    ) -> None:
        """As its base has it."""
        super().__init__(ledger, settings, owner, clock)
        self._foresight = Foresight(ledger, _Busy(clock), apart=_here)


async def _here(step: Callable[[], bool]) -> bool:
    """No threads: one seed is one history."""
    return step()


class _Busy:
    """A clock by which every look takes time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._looks = 0

    def __call__(self) -> float:
        """Seconds."""
        self._looks += 1
        return self._clock() + self._looks * _STEP_S
