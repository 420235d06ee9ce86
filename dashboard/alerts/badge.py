"""How many alerts fire, for pages that show it live: read once for all pages of a process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from config.alerts import Alerts
from dashboard.alerts.dead_man import is_unwatched

_log = structlog.get_logger()

#: Seconds between two readings.
_EVERY_S: Final = 5.0
#: A store whose tables another process is just making answers at the second or third reading.
_TOLD_FROM: Final = 3


@dataclass(frozen=True, slots=True)
class FiringCount:
    """Alerts of one user ("": nobody's) that fire and are not muted."""

    user: str
    severity: str
    count: int


@dataclass(frozen=True, slots=True)
class Badge:
    """What there is to show beside a page's name."""

    counts: tuple[FiringCount, ...] = ()
    #: nobody looks at rules any more: the counts say nothing
    unwatched: bool = False

    def seen(self, user: str | None) -> tuple[int, int]:
        """How many there are for this user (None: for an admin), and how many are critical."""
        mine = [one for one in self.counts if user is None or one.user == user]
        critical = sum(one.count for one in mine if one.severity == "critical")
        return sum(one.count for one in mine), critical


class CountSide(Protocol):
    """Who knows."""

    async def user_counts(self) -> list[tuple[str, str, int]]:
        """User, severity, count of what fires and is not muted."""
        ...

    async def looked_ms(self) -> int | None:
        """When rules were last looked at."""
        ...


class Badges:
    """Keeps the newest badge."""

    def __init__(
        self,
        alerts: CountSide,
        settings: Callable[[], Alerts],
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``clock``: seconds since the epoch; ``sleep``: waits for so many seconds."""
        self._sleep = sleep
        self._alerts = alerts
        self._settings = settings
        self._clock = clock
        self._badge = Badge()

    def newest(self) -> Badge:
        """As last read."""
        return self._badge

    async def run(self) -> None:
        """Read until cancelled. A store out of reach is waited for, and told of when that lasts."""
        failures = 0
        while True:
            try:
                await self.read()
                failures = 0
            except (SQLAlchemyError, OSError) as error:
                failures += 1
                if failures >= _TOLD_FROM:
                    _log.warning("alerts_not_counted", error=type(error).__name__)
            await self._sleep(_EVERY_S)

    async def read(self) -> None:
        """Read once.

        Raises:
            SQLAlchemyError: the store does not answer.
            OSError: likewise.
        """
        counts = tuple(FiringCount(*row) for row in await self._alerts.user_counts())
        looked_ms, alerts = await self._alerts.looked_ms(), self._settings()
        unwatched = is_unwatched(looked_ms, int(self._clock() * 1000), alerts.every)
        self._badge = Badge(counts, alerts.enabled and unwatched)
