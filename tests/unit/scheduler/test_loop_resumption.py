from __future__ import annotations

from typing import cast

from scheduler.ledger import Pool, WatchSide
from scheduler.resumption import Resumption
from scheduler.states import Agent

PATIENCE_S = 10.0


class Server:
    """As much of a ledger as a resumption looks at."""

    def __init__(self) -> None:
        self.life = "a"
        self.now_ms = 1_000
        self.heartbeats = {"one": 900, "two": 950}

    async def run_id(self) -> str:
        return self.life

    async def pool(self) -> Pool:
        agents = {
            name: Agent(id=name, url="", version="", heartbeat_ms=at)
            for name, at in self.heartbeats.items()
        }
        return Pool(now_ms=self.now_ms, agents=agents)


class World:
    def __init__(self) -> None:
        self.server = Server()
        self.seconds = 0.0
        self.resumption = Resumption(cast(WatchSide, self.server), lambda: self.seconds)

    async def is_over(self) -> bool:
        return await self.resumption.is_over(PATIENCE_S)


async def test_the_first_server_is_believed() -> None:
    world = World()
    assert await world.is_over()
    assert await world.is_over()


async def test_after_a_restart_every_agent_is_waited_for() -> None:
    world = World()
    await world.is_over()
    world.server.life = "b"
    assert not await world.is_over()
    world.server.heartbeats["one"] = 1_001
    assert not await world.is_over()
    world.server.heartbeats["two"] = 1_002
    assert await world.is_over()


async def test_silent_agents_are_waited_for_no_longer_than_a_heartbeat() -> None:
    world = World()
    await world.is_over()
    world.server.life = "b"
    assert not await world.is_over()
    world.seconds = PATIENCE_S - 0.1
    assert not await world.is_over()
    world.seconds = PATIENCE_S
    assert await world.is_over()
    assert await world.is_over()


async def test_a_second_restart_starts_the_wait_anew() -> None:
    world = World()
    await world.is_over()
    world.server.life = "b"
    await world.is_over()
    world.seconds, world.server.now_ms, world.server.life = 9.0, 10_000, "c"
    world.server.heartbeats = {"one": 9_000, "two": 9_000}
    assert not await world.is_over()
    world.seconds = 12.0
    assert not await world.is_over()


async def test_leases_count_from_when_this_life_of_the_server_was_first_seen() -> None:
    world = World()
    world.seconds = 5.0
    await world.is_over()
    assert world.resumption.seen_at == 5.0
    world.seconds = 7.0
    await world.is_over()
    assert world.resumption.seen_at == 5.0
    world.server.life = "b"
    await world.is_over()
    assert world.resumption.seen_at == 7.0


async def test_leases_count_anew_from_when_the_server_came_back_into_reach() -> None:
    world = World()
    await world.is_over()
    world.seconds = 40.0
    world.resumption.was_away()
    assert await world.is_over()
    assert world.resumption.seen_at == 40.0
