"""How many alerts fire, while the store comes and goes."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from config.alerts import Alerts
from dashboard.alerts.badge import Badge, Badges, FiringCount


class _Store:
    """Does not answer so often, then always."""

    def __init__(self, away: int) -> None:
        self.away = away

    async def user_counts(self) -> list[tuple[str, str, int]]:
        if self.away:
            self.away -= 1
            raise OperationalError("", {}, Exception("no such table: alerts"))
        return [("ann", "critical", 2)]

    async def looked_ms(self) -> int | None:
        return 1000


async def _read(store: _Store, times: int) -> tuple[Badge, int]:
    """The badge after so many readings, and how many lines they left in the log."""
    left = iter(range(times - 1))

    async def sleep(_seconds: float) -> None:
        if next(left, None) is None:
            raise asyncio.CancelledError

    badges = Badges(store, Alerts, lambda: 1.0, sleep)
    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await badges.run()
    return badges.newest(), len(logs)


async def test_a_store_whose_tables_are_just_being_made_is_nothing_to_talk_about() -> None:
    badge, lines = await _read(_Store(away=2), 3)
    assert badge.counts == (FiringCount("ann", "critical", 2),)
    assert lines == 0


async def test_a_store_that_stays_away_is_told_of() -> None:
    badge, lines = await _read(_Store(away=9), 4)
    assert badge == Badge()
    assert lines == 2
