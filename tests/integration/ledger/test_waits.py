"""Blocking reads over connections of their own: nobody gets what another has waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis
from redis.asyncio import Redis

from scheduler.redis_pipe import Pipe, PipeBroken
from scheduler.redis_waits import Waits


@pytest.fixture
async def waits(valkey_url: str) -> AsyncIterator[Waits]:
    def make() -> Pipe:
        found = Pipe.beside(Redis.from_url(valkey_url, protocol=2), 10.0)
        assert found is not None
        return found

    made = Waits(make)
    yield made
    made.close()


async def test_each_waiter_waits_alone_and_leaves_its_connection_to_the_next(
    waits: Waits, valkey_url: str
) -> None:
    first = asyncio.create_task(waits.ask(["BLPOP", "waits:first", 5]))
    second = asyncio.create_task(waits.ask(["BLPOP", "waits:second", 5]))
    async with Redis.from_url(valkey_url) as other:
        await other.rpush("waits:second", "2")
        assert await second == [b"waits:second", b"2"]
        assert not first.done()
        number = await waits.ask(["CLIENT", "ID"])
        await other.rpush("waits:first", "1")
        assert await first == [b"waits:first", b"1"]
    both = {await waits.ask(["CLIENT", "ID"]) for _ in range(3)}
    assert len(both) == 1
    assert number not in both  # the one that came back last is taken first


async def test_what_comes_for_one_who_has_gone_is_not_taken_for_the_next_ones(
    waits: Waits, valkey_url: str
) -> None:
    gone = asyncio.create_task(waits.ask(["BLPOP", "waits:gone", 5]))
    await asyncio.sleep(0.1)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    async with Redis.from_url(valkey_url) as other:
        await other.rpush("waits:gone", "for the dead", "for who comes next")
    assert await waits.ask(["ECHO", "mine"]) == b"mine"


async def test_a_waiter_whose_server_hangs_up_is_told(waits: Waits, valkey_url: str) -> None:
    number = await waits.ask(["CLIENT", "ID"])
    waiting = asyncio.create_task(waits.ask(["BLPOP", "waits:nothing", 5]))
    await asyncio.sleep(0.1)
    with redis.Redis.from_url(valkey_url) as other:
        other.client_kill_filter(_id=str(number))
    with pytest.raises(PipeBroken):
        await waiting
    assert await waits.ask(["ECHO", "again"]) == b"again"
