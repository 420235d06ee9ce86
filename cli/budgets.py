"""Tells the scheduler what was used this month: run each minute as an RQ job, safe to repeat."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncEngine

from scheduler.budgets import SPENT_NOTE, Spent, encode_spent, month_of
from scheduler.redis_ledger import RedisLedger
from store.engine import open_engine
from store.migrate import migrate
from store.records import By
from store.users import SqlUsers

#: Where nobody tells it any more, budgets hold nobody up after so long.
_KEPT_MS: Final = 3_600_000


def tell_spent(store_url: str, redis_url: str, pool: str, zone: str) -> str:
    """The job: sum up this month's usage, and tell it in the ledger.

    Args:
        store_url: as in ``store.url``.
        redis_url: the ledger's server.
        pool: whose ledger.
        zone: where months begin, as in ``scheduler.rhythm_zone``.

    Returns:
        The month.

    Raises:
        LedgerUnavailable: the ledger's server does not answer; it is tried again in a minute.
    """
    return asyncio.run(_tell_spent(store_url, redis_url, pool, zone, int(time.time() * 1000)))


async def _tell_spent(store_url: str, redis_url: str, pool: str, zone: str, now_ms: int) -> str:
    engine = open_engine(store_url)
    ledger = RedisLedger.connect(redis_url, pool)
    try:
        await migrate(engine)  # nobody else may have been here yet
        spent = await spent_of(engine, now_ms, ZoneInfo(zone))
        await ledger.note(SPENT_NOTE, encode_spent(spent), _KEPT_MS, replace=True)
    finally:
        await ledger.close()
        await engine.dispose()
    return spent.month


async def spent_of(engine: AsyncEngine, now_ms: int, zone: ZoneInfo) -> Spent:
    """Usage of the month so far, by user and by group."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone)
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    start_ms, users = int(start.timestamp() * 1000), SqlUsers(engine)
    by_user = await users.sums(start_ms, now_ms + 1, By.USER)
    by_group = await users.sums(start_ms, now_ms + 1, By.GROUP)
    return Spent(
        month=month_of(now_ms, zone),
        users={row.name: row.gpu_us for row in by_user},
        groups={row.name: row.gpu_us for row in by_group},
    )
