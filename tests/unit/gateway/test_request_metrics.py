"""What requests came to, by route and never by what was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import generate_latest

from gateway.request_metrics import RequestMetrics


async def asked(request: web.Request) -> web.Response:
    if "wrong" in request.query:
        raise web.HTTPBadRequest
    if "broken" in request.query:
        raise RuntimeError("broken")
    return web.Response()


async def socket(request: web.Request) -> web.WebSocketResponse:
    opened = web.WebSocketResponse()
    await opened.prepare(request)
    async for _ in opened:
        pass
    return opened


async def test_each_answer_is_counted_once_by_its_pattern() -> None:
    requests = RequestMetrics()
    inner = requests.middleware()

    @web.middleware
    async def twice(request: web.Request, handler: object) -> web.StreamResponse:
        """As a request of a personal URL comes through."""
        return await inner(request, handler)  # type: ignore[arg-type]

    app = web.Application(middlewares=[requests.middleware(), twice])
    app.router.add_get("/view/{name}", asked)
    app.router.add_get("/ws", socket)
    async with TestClient(TestServer(app)) as client:
        await client.get("/view/secret-picture.png")
        await client.get("/nowhere/secret")
        async with client.ws_connect("/ws"):
            assert "vramgate_client_sockets 1.0" in generate_latest(requests.registry).decode()
    told = generate_latest(requests.registry).decode()
    route = 'code="200",method="GET",route="/view/{name}"'
    assert f"vramgate_http_requests_total{{{route}}} 1.0" in told
    assert "secret" not in told
    assert 'route="/ws"' not in told
    assert "vramgate_client_sockets 0.0" in told


async def test_refusals_and_mistakes_are_counted_as_what_they_are() -> None:
    requests = RequestMetrics()
    app = web.Application(middlewares=[requests.middleware()])
    app.router.add_get("/", asked)
    async with TestClient(TestServer(app)) as client:
        for query, status in (("wrong", 400), ("broken", 500)):
            answer = await client.get(f"/?{query}=1")
            assert answer.status == status
    told = generate_latest(requests.registry).decode()
    for code in ("400", "500"):
        assert f'vramgate_http_requests_total{{code="{code}",method="GET",route="/"}} 1.0' in told


_GATEWAY = """
import asyncio, os, signal, sys
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import generate_latest
from gateway.request_metrics import RequestMetrics

async def main():
    requests = RequestMetrics()
    app = web.Application(middlewares=[requests.middleware()])
    async def answer(request):
        if "die" in request.query:
            print(generate_latest(requests.registry).decode(), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return web.Response()
    app.router.add_get("/", answer)
    async with TestClient(TestServer(app)) as client:
        await client.get("/")
        # a socket that is open when the process is killed
        socket = {"Upgrade": "websocket", "Connection": "Upgrade"}
        await client.get("/?die=1", headers=socket)

asyncio.run(main())
"""


def test_gateways_of_one_port_tell_the_requests_of_all(tmp_path: Path) -> None:
    environ = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    told = [
        subprocess.run(
            [sys.executable, "-c", _GATEWAY],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        for _ in range(3)
    ]
    last = told[-1].stdout
    assert 'vramgate_http_requests_total{code="200",method="GET",route="/"} 3.0' in last, told
    assert "vramgate_client_sockets 1.0" in last
