"""Two gateways on one port: one dies in the middle of the work, and nobody's work suffers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.clients import Client, ends, image_prompt
from tests.endtoend.conftest import ANN, BOB, KEYS
from tests.endtoend.stack import Stack
from tests.endtoend.test_bad_input import vramgate
from tests.endtoend.test_kill import finished, patient_get, work
from tests.endtoend.test_path import colour

TWO = ("--simulate", "gpus=1,vram=24GiB,workers=2,speed=10", "--gateways", "2")
GATEWAYS = ("gateway-1", "gateway-2")


class Artist:
    """A client that connects again when it is cut off, and then looks into the history."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str) -> None:
        self.client = Client(http, url, {"Authorization": f"Bearer {key}"})
        #: prompt → the number in its picture
        self.jobs: dict[str, int] = {}
        self.told: list[str] = []
        self.connected = asyncio.Event()
        self.connects = 0

    async def listen(self) -> None:
        while True:
            try:
                async with self.client.socket() as socket:
                    async for message in socket.ws:
                        if message.type is aiohttp.WSMsgType.TEXT:
                            await self._hear(json.loads(message.data))
            except (aiohttp.ClientError, ConnectionError):
                pass
            self.connected.clear()
            await asyncio.sleep(0.1)

    async def _hear(self, frame: dict[str, Any]) -> None:
        if not self.connected.is_set():
            assert frame["type"] == "status"
            assert frame["data"]["sid"] == self.client.client_id
            self.connects += 1
            self.connected.set()
            found = await patient_get(self.client, "/history")
            self.told += [id_ for id_ in found if id_ not in self.told]
        if frame["type"] == "executing" and ends(frame, frame["data"].get("prompt_id", "")):
            prompt_id = frame["data"]["prompt_id"]
            assert prompt_id in await patient_get(self.client, f"/history/{prompt_id}")
            if prompt_id not in self.told:
                self.told.append(prompt_id)

    async def post(self, n: int) -> None:
        """As often as it takes, and once all the same."""
        headers = {**self.client.headers, "Idempotency-Key": f"job-{n}"}
        body = {"prompt": work(n), "client_id": self.client.client_id}
        while True:
            try:
                async with self.client.http.post(
                    f"{self.client.url}/prompt", json=body, headers=headers
                ) as answer:
                    assert answer.status == 200, await answer.text()
                    self.jobs[(await answer.json())["prompt_id"]] = n
                    return
            except (aiohttp.ClientError, ConnectionError):
                await asyncio.sleep(0.1)

    async def check(self) -> None:
        for prompt_id, n in self.jobs.items():
            entry = await finished(self.client, prompt_id)
            assert entry["status"]["status_str"] == "success", entry["status"]
            (image,) = entry["outputs"]["22"]["images"]
            assert colour(await self.client.view(image)) == (0, n, 0x10)
        assert sorted(await patient_get(self.client, "/history")) == sorted(self.jobs)
        while not set(self.jobs) <= set(self.told):
            await asyncio.sleep(0.1)


@asynccontextmanager
async def artists(url: str, count: int) -> AsyncIterator[list[Artist]]:
    """Some of them, connected; each has connections of its own, as each has a machine."""
    sessions = [aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) for _ in range(count)]
    people = [Artist(http, url, (ANN, BOB)[n]) for n, http in enumerate(sessions)]
    listening = [asyncio.create_task(one.listen()) for one in people]
    try:
        await asyncio.gather(*(one.connected.wait() for one in people))
        yield people
    finally:
        for task in listening:
            task.cancel()
        results = await asyncio.gather(*listening, return_exceptions=True)
        for http in sessions:
            await http.close()
        wrong = [one for one in results if not isinstance(one, asyncio.CancelledError)]
        assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_no_prompt_is_lost_when_one_gateway_goes(tmp_path: Path, number: int) -> None:
    stack = Stack(tmp_path, *TWO, config=KEYS)
    stack.start()
    try:
        async with artists(stack.url, 2) as people, asyncio.timeout(180):
            for n in range(1, 21):
                await people[n % 2].post(n)
                if n in (8, 16):  # first the one, and when it is back the other
                    await gone_and_back(stack, GATEWAYS[n // 8 - 1], number)
            await asyncio.gather(*(one.check() for one in people))
            # whoever was cut off has come back; each gateway went once
            assert sum(one.connects for one in people) >= 4
        services = stack.state()["services"]
        assert [services[name]["restarts"] for name in GATEWAYS] == [1, 1]
    finally:
        stack.stop()


async def gone_and_back(stack: Stack, name: str, number: int) -> None:
    """Send a signal to a gateway; meanwhile no connection is refused or cut off."""
    begun = starts(stack)
    os.kill(stack.pids()[name], number)
    while starts(stack) == begun:
        await asyncio.to_thread(healthy, stack)
        await asyncio.sleep(0.05)


def starts(stack: Stack) -> int:
    """How many gateways the agent has seen come."""
    return (stack.data_dir / "logs" / "agent.log").read_text().count("gateway_connected")


def healthy(stack: Stack) -> None:
    """Ask on a connection of its own; raises where nobody answers."""
    with urllib.request.urlopen(stack.url + "/healthz", timeout=30) as answer:
        assert answer.status == 200


@pytest.fixture(scope="module")
def two(start: Callable[..., Stack]) -> Stack:
    return start(*TWO)


async def test_a_gateway_that_hangs_keeps_nobody_waiting(
    two: Stack, http: aiohttp.ClientSession
) -> None:
    frozen = two.pids()["gateway-2"]
    os.kill(frozen, signal.SIGSTOP)
    try:
        for _ in range(20):
            await asyncio.to_thread(healthy, two)
    finally:
        os.kill(frozen, signal.SIGCONT)
    ann = Client(http, two.url, {"X-API-Key": ANN})
    await ann.ended(await ann.queue(image_prompt()))


def test_status_names_each_gateway(two: Stack) -> None:
    about = vramgate("status", stack=two)
    for name in GATEWAYS:
        assert f"  {name}" in about
    assert two.url in about


async def test_what_one_sends_through_many_connections_is_there_on_all(two: Stack) -> None:
    async def once(method: str, path: str, **options: Any) -> Any:
        connector = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.request(method, two.url + path, headers={"X-API-Key": BOB}, **options) as answer,
        ):
            assert answer.status == 200, await answer.text()
            kind = answer.content_type
            return await (answer.json() if kind == "application/json" else answer.read())

    for n in range(8):
        form = aiohttp.FormData()
        form.add_field("image", b"picture %d" % n, filename="same.png", content_type="image/png")
        name = (await once("POST", "/upload/image", data=form))["name"]
        assert await once("GET", f"/view?type=input&filename={name}") == b"picture %d" % n
        await once("POST", "/settings", json={f"n{n}": n})
    assert await once("GET", "/settings") == {f"n{n}": n for n in range(8)}
