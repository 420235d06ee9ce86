"""The layout of keys: known at start, brought up, and never down."""

from __future__ import annotations

import pytest

from scheduler.redis_base import RedisSide
from scheduler.redis_layout import LAYOUT, NewerLayout
from scheduler.redis_ledger import RedisLedger


@pytest.fixture(autouse=True)
def _on_real_servers(server_url: str) -> str:
    return server_url


async def test_a_fresh_pool_and_one_from_before_there_were_layouts_have_the_first(
    ledger: RedisLedger,
) -> None:
    assert await ledger.layout() == 1
    assert await ledger.bring_up() == 1
    assert await ledger.layout() == LAYOUT


async def test_older_keys_are_brought_up_step_by_step_and_once(ledger: RedisLedger) -> None:
    done = []

    async def to(side: RedisSide, number: int) -> None:
        done.append(number)
        await side.server.command("HSET", side.keys.override_meta, "rev", number)

    steps = {2: lambda side: to(side, 2), 3: lambda side: to(side, 3)}
    assert await ledger.bring_up(3, steps) == 1
    assert await ledger.bring_up(3, steps) == 3
    assert done == [2, 3]
    assert (await ledger.overrides())[0] == 3


async def test_a_step_that_fails_is_done_again(ledger: RedisLedger) -> None:
    tries = []

    async def step(_side: RedisSide) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await ledger.bring_up(2, {2: step})
    assert await ledger.layout() == 1
    await ledger.bring_up(2, {2: step})
    assert (len(tries), await ledger.layout()) == (2, 2)


async def test_keys_of_a_newer_release_are_refused_with_what_to_do(ledger: RedisLedger) -> None:
    await ledger.bring_up(2, {2: _nothing})
    with pytest.raises(NewerLayout, match="install that release"):
        await ledger.bring_up()
    assert await ledger.layout() == 2


async def _nothing(_side: RedisSide) -> None:
    """There is nothing to change."""
