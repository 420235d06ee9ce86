"""Bodies of requests: whole whatever way they come, and nothing in them that JSON has not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from dashboard.api.asking import answer, refusing
from dashboard.api.posted import posted

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async def echo(request: web.Request) -> web.Response:
        return answer(request, await posted(request, 1000))

    app = web.Application()
    app.add_routes([web.post("/", refusing(echo))])
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_a_body_that_comes_in_pieces_is_read_whole(client: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"why":', b' "it has', b' to"}'):
            yield piece
            await asyncio.sleep(0.02)

    told = await client.post("/", data=pieces())
    assert (told.status, await told.json()) == (200, {"why": "it has to"})


@pytest.mark.parametrize(
    "body",
    [b"", b"7", b"[]", b"{", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e999}', b'{"a": "\xff"}',
     b'{"a": "\\ud800"}', b'{"a": ' + b"[" * 900 + b"}"],
)  # fmt: skip
async def test_what_is_no_json_object_is_refused(client: Client, body: bytes) -> None:
    told = await client.post("/", data=body)
    assert (told.status, await told.json()) == (400, {"error": "Send a JSON object."})


async def test_what_is_too_long_is_refused_before_it_is_read(client: Client) -> None:
    told = await client.post("/", data=b'{"a": "' + b"x" * 1000 + b'"}')
    found: Any = await told.json()
    assert (told.status, found["error"]) == (413, "Send at most 1000 bytes.")
