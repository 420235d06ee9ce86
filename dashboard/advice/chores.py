"""The jobs role's part: finds advice on a schedule, and soon after somebody asked for it."""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.advice.body import found_of
from dashboard.advice.engine import advise
from dashboard.advice.finding import Finding
from store.advice import SqlAdvice, Turn
from store.engine import open_engine
from store.fact_reader import SqlFacts
from store.migrate import migrate

_log = structlog.get_logger()

#: Advice is found in the jobs of so many days, and found anew so often.
SPAN_MS: Final = 7 * 86_400_000
EVERY_MS: Final = 600_000


def advise_if_due(store_url: str) -> int | None:
    """Each minute: find advice where that is due. Safe to repeat and to kill.

    Args:
        store_url: as in ``store.url``.

    Returns:
        How much there is; None: it was not due.
    """
    return asyncio.run(_advise_if_due(store_url, int(time.time() * 1000)))


async def _advise_if_due(store_url: str, now_ms: int) -> int | None:
    engine = open_engine(store_url)
    try:
        await migrate(engine)  # nobody else may have been here yet
        if not is_due(await SqlAdvice(engine).turn(), now_ms):
            return None
        return len(await find(engine, now_ms))
    finally:
        await engine.dispose()


def is_due(turn: Turn, now_ms: int) -> bool:
    """Never found, found long ago, or asked for since."""
    if turn.done_ms is None or now_ms - turn.done_ms >= EVERY_MS:
        return True
    return turn.asked_ms is not None and turn.asked_ms > turn.done_ms


async def find(engine: AsyncEngine, now_ms: int) -> list[Finding]:
    """Read the facts, find, and keep what was found."""
    began = time.perf_counter()
    facts = await SqlFacts(engine).read(now_ms - SPAN_MS, now_ms)
    # the same facts give the same bounds, whoever looks
    found = await asyncio.to_thread(advise, facts, Random(0))  # noqa: S311
    await SqlAdvice(engine).replace([found_of(one) for one in found], now_ms)
    _log.info(
        "advice_found",
        findings=len(found),
        jobs=len(facts.jobs),
        seconds=round(time.perf_counter() - began, 2),
    )
    return found
