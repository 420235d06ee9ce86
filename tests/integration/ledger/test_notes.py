"""Notes that gateways leave one another."""

from __future__ import annotations

import asyncio

from scheduler.ledger import Ledger

LONG_MS = 60_000


async def test_the_first_text_of_a_name_stays(ledger: Ledger) -> None:
    assert await ledger.noted("a") is None
    told = await asyncio.gather(*(ledger.note("a", f"v{n} ä", LONG_MS) for n in range(20)))
    assert len(set(told)) == 1
    assert await ledger.note("a", "late", LONG_MS) == await ledger.noted("a") == told[0]
    assert await ledger.note("b", "other", LONG_MS) == "other"


async def test_it_is_replaced_only_when_that_is_wanted(ledger: Ledger) -> None:
    await ledger.note("a", "one", LONG_MS)
    assert await ledger.note("a", "two", LONG_MS, replace=True) == "two"
    assert await ledger.noted("a") == "two"


async def test_it_ends_by_itself_and_each_note_begins_its_time_anew(ledger: Ledger) -> None:
    await ledger.note("short", "x", 1)
    await ledger.note("kept", "x", 1)
    await ledger.note("kept", "y", LONG_MS)
    kept = await ledger.noted("kept")
    async with asyncio.timeout(30):
        while await ledger.noted("short") is not None:
            await asyncio.sleep(0.005)
    assert await ledger.noted("kept") == kept
    assert await ledger.note("short", "new", LONG_MS) == "new"
