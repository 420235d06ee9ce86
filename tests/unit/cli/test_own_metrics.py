"""A role's own figures on a port of its own."""

from __future__ import annotations

import asyncio
import socket

import aiohttp

from cli.own_metrics import port_of, serve
from config.settings import Settings


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def ask(port: int, **headers: str) -> tuple[int, str]:
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            try:
                url = f"http://127.0.0.1:{port}/metrics"
                async with session.get(url, headers=headers) as answer:
                    return answer.status, await answer.text()
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.01)


async def test_it_tells_its_process_to_whoever_shows_the_token() -> None:
    port, token = free_port(), "a-token-for-scrapers"
    settings = Settings.model_validate({"metrics": {"recorder_port": port, "token": token}})
    assert port_of("recorder", settings.metrics) == port
    assert port_of("agent", settings.metrics) is None
    assert port_of("gateway", settings.metrics) is None
    serving = asyncio.create_task(serve("recorder", port, lambda: settings))
    status, text = await ask(port, Authorization=f"Bearer {token}")
    assert status == 200
    assert 'role="recorder"' in text
    assert "process_resident_memory_bytes" in text
    assert (await ask(port))[0] == 401
    assert (await ask(port, Authorization="Bearer wrong"))[0] == 401
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_a_port_that_is_taken_stops_no_role() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        await serve("agent", taken.getsockname()[1], Settings)
