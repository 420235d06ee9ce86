"""Resources over a store of each kind, behind a door that believes who one says one is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from config.settings import Role

Ask = Callable[..., Awaitable[Any]]
Serve = Callable[[list[web.RouteDef]], Awaitable[Ask]]


def who(request: web.Request) -> tuple[str, Role]:
    """For tests alone: as the headers say."""
    return request.headers.get("X-User", "ann"), Role(request.headers.get("X-Role", "artist"))


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serve some routes; gives a function that asks as somebody and reads the JSON."""
    clients = []

    async def start(routes: list[web.RouteDef]) -> Ask:
        app = web.Application()
        app.add_routes(routes)
        client = TestClient(TestServer(app))
        clients.append(client)
        await client.start_server()

        async def ask(
            path: str,
            user: str = "ann",
            role: str = "artist",
            *,
            method: str = "GET",
            status: int = 200,
            json: Any = None,
            raw: bool = False,
        ) -> Any:
            headers = {"X-User": user, "X-Role": role}
            answer = await client.request(method, path, headers=headers, json=json)
            assert answer.status == status, await answer.text()
            return await (answer.read() if raw else answer.json())

        return ask

    yield start
    for client in clients:
        await client.close()
