"""A cancelled task ends, whatever its Redis client was doing at that moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from scheduler.redis_connection import Connection

#: Steps of the event loop that one command takes on loopback, and some more.
STEPS = 25
ROUNDS = 40
Call = Callable[[Connection], Awaitable[Any]]


def command(connection: Connection) -> Awaitable[Any]:
    return connection.command("PING")


def pipeline(connection: Connection) -> Awaitable[Any]:
    return connection.pipeline([("PING",), ("PING",)])


def script(connection: Connection) -> Awaitable[Any]:
    return connection.script("ping", ["{x}"], [])


def blocking(connection: Connection) -> Awaitable[Any]:
    return connection.wait(30.0, "BLPOP", "{x}nothing-comes", 30)


@pytest.mark.parametrize("call", [command, pipeline, script, blocking])
async def test_no_cancellation_is_lost(server_url: str, call: Call) -> None:
    connection = Connection(server_url, patience_s=1.0, scripts={"_lib": "", "ping": "return 1"})
    await connection.command("PING")
    lost = 0
    for steps in [*range(STEPS)] * ROUNDS:
        task = asyncio.ensure_future(call(connection))
        for _ in range(steps):
            await asyncio.sleep(0)
        asked = task.cancel()
        await asyncio.wait([task])
        lost += asked and not task.cancelled()
    assert lost == 0
    await connection.close()


async def test_a_caller_s_time_out_still_is_a_time_out(server_url: str) -> None:
    connection = Connection(server_url, patience_s=1.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await blocking(connection)
    await connection.close()
