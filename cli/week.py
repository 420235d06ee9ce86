"""Learns demand by hour of the week from the store: run each hour as an RQ job, safe to repeat."""

from __future__ import annotations

import asyncio
import time
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from scheduler.redis_ledger import RedisLedger
from scheduler.rhythm import MEMORY_MS, Rhythm, learn
from store.engine import open_engine
from store.migrate import migrate
from store.usage import SqlUsage

_log = structlog.get_logger()


def learn_week(store_url: str, redis_url: str, pool: str, zone: str) -> int:
    """The job: read history, and write what it says of the week into the ledger.

    Args:
        store_url: as in ``store.url``.
        redis_url: the ledger's server.
        pool: whose ledger.
        zone: as in ``scheduler.rhythm_zone``.

    Returns:
        How many models are known; 0: there is no history, nothing was written.

    Raises:
        LedgerUnavailable: the ledger's server does not answer; it is tried again next hour.
    """
    return asyncio.run(_learn_week(store_url, redis_url, pool, zone, int(time.time() * 1000)))


async def _learn_week(store_url: str, redis_url: str, pool: str, zone: str, now_ms: int) -> int:
    engine = open_engine(store_url)
    ledger = RedisLedger.connect(redis_url, pool)
    try:
        await migrate(engine)  # nobody else may have been here yet
        rhythm = await week_of(engine, now_ms, zone)
        if rhythm is None:
            return 0
        text = rhythm.to_json()
        await ledger.put_week(text)
    finally:
        await ledger.close()
        await engine.dispose()
    _log.info("week_learned", models=len(rhythm.habits), bytes=len(text))
    return len(rhythm.habits)


async def week_of(engine: AsyncEngine, now_ms: int, zone: str) -> Rhythm | None:
    """The week as the store's history shows it; None: it has none."""
    usage = SqlUsage(engine)
    first_ms = await usage.first_ms()
    if first_ms is None:
        return None
    usages = await usage.usages(max(first_ms, now_ms - MEMORY_MS))
    return learn(usages, since_ms=first_ms, until_ms=now_ms, zone=ZoneInfo(zone))
