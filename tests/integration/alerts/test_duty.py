"""Who looks: one process at a time on a real server, and again after whatever was away is back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from config.settings import Settings
from dashboard.alerts.duty import Duty
from dashboard.alerts.watch import Watch
from scheduler.ledger import LedgerUnavailable
from scheduler.memory_books import Books
from scheduler.memory_ledger import MemoryLedger
from scheduler.redis_ledger import RedisLedger
from scheduler.states import Snapshot
from store.alerts import SqlAlerts
from tests.integration.alerts.conftest import Clock


async def test_of_several_that_ask_at_once_one_has_it_until_it_leaves(ledger: RedisLedger) -> None:
    duties = [Duty(ledger, "alerts", f"process-{n}") for n in range(8)]
    first = await asyncio.gather(*(duty.mine() for duty in duties))
    assert sum(first) == 1
    assert await asyncio.gather(*(duty.mine() for duty in duties)) == first
    holder = duties[first.index(True)]
    await duties[first.index(False)].leave()  # not its own to give up
    assert await holder.mine()
    await holder.leave()
    while not any(again := await asyncio.gather(*(duty.mine() for duty in duties))):
        await asyncio.sleep(0.01)
    assert sum(again) == 1


class Away(MemoryLedger):
    """Out of reach for the first readings."""

    left = 2

    async def snapshot(self, window: int) -> Snapshot:
        if self.left:
            self.left -= 1
            raise LedgerUnavailable("away")
        return await super().snapshot(window)


async def test_a_ledger_that_is_away_is_waited_for(
    engine: AsyncEngine, alerts: SqlAlerts, clock: Clock, new_id: Callable[[], str]
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.ms += int(seconds * 1000)
        if len(pauses) == 4:
            raise asyncio.CancelledError

    ledger = Away(Books(clock, new_id))
    watch = Watch(ledger, engine, Settings, new_id, sleep=sleep)
    with pytest.raises(asyncio.CancelledError):
        await watch.run()
    assert pauses == [20.0, 30.0, 10.0, 10.0]
    assert await alerts.looked_ms() == clock.ms - 10_000
    # it has given up its duty
    clock.ms += 2
    assert await Duty(ledger, "alerts", "another").mine()
