"""week and put_week: demand by hour of the week, kept as it was written."""

from __future__ import annotations

from collections.abc import Callable

from scheduler.ledger import Ledger
from tests.integration.ledger.conftest import Connect, Dump


async def test_a_new_pool_knows_no_week(ledger: Ledger) -> None:
    assert await ledger.week() is None


async def test_the_last_week_written_is_read_by_all_and_twice_is_once(
    ledger: Ledger, connect: Connect, dump: Callable[[], Dump]
) -> None:
    await ledger.put_week(b"one")
    await ledger.put_week(b"\x00two")
    before = dump()
    await ledger.put_week(b"\x00two")
    assert dump() == before
    assert await ledger.week() == b"\x00two"
    assert await connect().week() == b"\x00two"
