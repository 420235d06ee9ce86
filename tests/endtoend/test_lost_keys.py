"""Clients that give their key to HTTP and forget it for the socket, at either of two gateways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.clients import Client, Socket, image_prompt
from tests.endtoend.conftest import ANN
from tests.endtoend.stack import Stack


@pytest.fixture(scope="module")
def stack(start: Callable[..., Stack]) -> Stack:
    return start("--simulate", "gpus=1,vram=24GiB,workers=2,speed=20", "--gateways", "2")


class Forgetful(Client):
    """Its socket goes to the host, without path, password or header."""

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Socket]:
        host = self.url.rpartition("@")[2].removeprefix("http://").partition("/")[0]
        async with self.http.ws_connect(f"ws://{host}/ws?clientId={self.client_id}") as ws:
            yield Socket(ws)


@pytest.mark.parametrize(
    "where", [f"http://{{}}/k/url-{ANN}", f"http://ann:{ANN}@{{}}"], ids=["url", "basic"]
)
async def test_they_see_their_prompts_through_and_nobody_elses(
    stack: Stack, http: aiohttp.ClientSession, where: str
) -> None:
    url = where.format(f"127.0.0.1:{stack.port}")
    clients = [Forgetful(http, url) for _ in range(4)]

    async def work(client: Forgetful, color: int) -> None:
        await client.get("/system_stats")
        for _ in range(2):  # the second time the socket comes back by its ticket
            async with client.socket() as socket:
                prompt_id = await client.queue(image_prompt(color, prefix=f"c{color}"))
                frames = await socket.until_done(prompt_id)
                told = {frame["data"].get("prompt_id") for frame in frames} - {None}
                assert told == {prompt_id}
                kinds = [frame["type"] for frame in frames]
                assert "executed" in kinds
                assert "execution_success" in kinds
                assert len(await client.images(prompt_id)) == 1

    await asyncio.gather(*(work(client, number) for number, client in enumerate(clients)))
