"""An agent that restarts is away for a moment and comes back on another port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from gateway.errors import UpstreamDown
from scheduler.ledger import Report
from scheduler.states import Agent
from tests.factories import gpu, worker
from tests.integration.gateway_info.conftest import ANN, FakeAgent, Gateway, Start

PICTURE = b"0123456789"


async def move(gateway: Gateway, url: str) -> None:
    """The agent reports from there; the gateway is not told."""
    await gateway.ledger.report(
        Report(
            agent=Agent(id="host", url=url, version="1", heartbeat_ms=0),
            workers=[worker("host-0", "host-gpu")],
            gpus=[gpu("host-gpu", "host")],
        )
    )


@pytest.fixture
async def nowhere() -> AsyncIterator[str]:
    """An address at which nobody answers, and nobody else will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@asynccontextmanager
async def away(gateway: Gateway, nowhere: str) -> AsyncIterator[None]:
    """Away at first; back where it really is as soon as it was missed."""
    await move(gateway, nowhere)
    await gateway.services.agents.refresh()
    misses = asyncio.create_task(come_back(gateway))
    yield
    await misses


async def come_back(gateway: Gateway) -> None:
    await asyncio.sleep(0.15)
    await move(gateway, gateway.agent.url)


@pytest.mark.parametrize(
    ("method", "more", "status", "body"),
    [
        ("GET", {}, 200, PICTURE),
        ("HEAD", {}, 200, b""),
        ("GET", {"Range": "bytes=2-4"}, 206, b"234"),
        ("GET", {"If-None-Match": '"on-disk"'}, 304, b""),
    ],
)
async def test_a_picture_waits_for_its_agent(
    gateway: Gateway, nowhere: str, method: str, more: dict[str, str], status: int, body: bytes
) -> None:
    folder, name = await gateway.output("ann", PICTURE)
    query = {"filename": name, "subfolder": folder}
    async with away(gateway, nowhere):
        answer = await gateway.client.request(method, "/view", params=query, headers=ANN | more)
        assert (answer.status, await answer.read()) == (status, body)


async def test_so_do_a_workers_files_and_lists(
    start: Start, agent: FakeAgent, nowhere: str
) -> None:
    agent.routes |= {"extensions/pack/pack.js": b"pack()", "models/loras": ["l"]}
    gateway = await start()
    for path, body in (("/extensions/pack/pack.js", b"pack()"), ("/models/loras", b'["l"]')):
        async with away(gateway, nowhere):
            answer = await gateway.client.get(path, headers=ANN)
            assert (answer.status, await answer.read()) == (200, body)


async def test_a_worker_that_its_agent_cannot_reach_is_waited_for_too(
    gateway: Gateway, agent: FakeAgent
) -> None:
    agent.routes["models/loras"] = web.HTTPBadGateway()
    asking = asyncio.create_task(gateway.json("/models/loras"))
    while agent.asked.count("models/loras") < 2:
        await asyncio.sleep(0.01)
    agent.routes["models/loras"] = ["l"]
    assert await asking == ["l"]


async def test_who_waits_in_vain_is_told_what_to_do(gateway: Gateway, nowhere: str) -> None:
    await move(gateway, nowhere)
    await gateway.services.agents.refresh()
    (one,) = await gateway.services.agents.ready()
    with pytest.raises(UpstreamDown, match="try again shortly") as told:
        await gateway.services.agents.get_json(one, "features", patience_s=0.25)
    assert "Retry-After" in told.value.headers


@pytest.mark.parametrize("answer", [web.HTTPInternalServerError(), web.HTTPForbidden(), b"no json"])
async def test_an_answer_that_will_not_change_is_not_asked_for_again(
    gateway: Gateway, agent: FakeAgent, answer: Any
) -> None:
    agent.routes["features"] = answer
    (one,) = await gateway.services.agents.ready()
    with pytest.raises(UpstreamDown):
        await gateway.services.agents.get_json(one, "features")
    assert agent.asked.count("features") == 1
