"""A whole gateway over a real ledger, memory ports, and one agent that answers like a worker's."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from config.settings import Settings
from gateway.app import build, make_services
from gateway.context import Services
from gateway.memory_ports import MemoryArchive, MemoryDocuments, MemoryInputFiles
from gateway.request_metrics import RequestMetrics
from scheduler.ledger import Ledger, Report
from scheduler.live import FilePlace
from scheduler.states import Agent, Worker
from tests.factories import GIB, gpu, worker

TOKEN = "cluster-token-0001"
USERS: list[dict[str, Any]] = [
    {"name": "ann", "group": "film", "key": "key-of-ann-01", "url_key": "url-of-ann-01"},
    {"name": "bob", "key": "key-of-bob-01", "url_key": "url-of-bob-01"},
    {"name": "ada", "key": "key-of-ada-01", "role": "admin"},
    {"name": "vic", "key": "key-of-vic-01", "role": "viewer"},
]
KEYS: dict[str, Any] = {"auth": {"mode": "keys"}, "users": USERS}
#: an agent that reports once counts as alive for as long as a test takes
PATIENT: dict[str, Any] = {"scheduler": {"heartbeat": 600}}


def as_user(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer key-of-{name}-01"}


ANN, BOB, VIC = as_user("ann"), as_user("bob"), as_user("vic")


def png(color: tuple[int, ...] = (255, 0, 0), size: tuple[int, int] = (8, 8)) -> bytes:
    out = io.BytesIO()
    Image.new("RGBA" if len(color) == 4 else "RGB", size, color).save(out, "png")
    return out.getvalue()


@dataclass
class FakeAgent:
    """The agent's endpoint: what its worker says, and the files on its disk."""

    routes: dict[str, Any] = field(default_factory=dict)
    files: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    #: as ``files``, but where the agent says that they lie; None: out of sight
    places: dict[tuple[str, str, str], FilePlace | None] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    #: what came for routes of node packs: worker, method, path with query, headers, body
    packs: list[tuple[str, str, str, Mapping[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    #: False: its worker is down
    draws: bool = True

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/workers/{worker}/comfy/{path:.*}", self.comfy)
        app.router.add_get("/v1/workers/{worker}/file", self.file)
        app.router.add_get("/v1/workers/{worker}/place", self.place)
        app.router.add_route("*", "/v1/workers/{worker}/pack/{path:.*}", self.pack)
        app.router.add_get("/v1/live", self.live)
        return app

    def guard(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise web.HTTPUnauthorized

    async def live(self, request: web.Request) -> web.WebSocketResponse:
        self.guard(request)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket

    async def comfy(self, request: web.Request) -> web.StreamResponse:
        self.guard(request)
        path = request.match_info["path"]
        self.asked.append(path)
        found = self.routes.get(f"{request.match_info['worker']}:{path}", self.routes.get(path))
        if isinstance(found, asyncio.Event):  # a worker too busy to answer
            await found.wait()
            raise web.HTTPNotFound
        if isinstance(found, web.HTTPException):
            # not raised: an exception is an answer that can be given once
            where = {"Location": found.headers["Location"]} if "Location" in found.headers else {}
            return web.Response(status=found.status, headers=where)
        if found is None:
            raise web.HTTPNotFound
        if isinstance(found, bytes):
            headers = {"Set-Cookie": "evil=1", "X-Host": "secret"}
            kind = "text/html" if found.startswith(b"<html") else "application/octet-stream"
            return web.Response(body=found, headers=headers, content_type=kind)
        return web.json_response(found)

    async def place(self, request: web.Request) -> web.StreamResponse:
        self.guard(request)
        self.asked.append("place")
        key = (request.query["type"], request.query["subfolder"], request.query["filename"])
        if key not in self.places:
            raise web.HTTPNotFound
        return web.Response(body=msgspec.json.encode(self.places[key]))

    async def pack(self, request: web.Request) -> web.StreamResponse:
        self.guard(request)
        worker, (_, path) = request.match_info["worker"], request.path_qs.split("/pack/", 1)
        body = await request.read()
        self.packs.append((worker, request.method, path, request.headers.copy(), body))
        found = self.routes.get(f"{worker}:pack:{request.match_info['path']}")
        found = found or self.routes.get(f"pack:{request.match_info['path']}")
        if found is None:
            raise web.HTTPNotFound
        return found() if callable(found) else web.json_response(found)

    async def file(self, request: web.Request) -> web.StreamResponse:
        self.guard(request)
        query = request.query
        body = self.files.get((query["type"], query["subfolder"], query["filename"]))
        if body is None:
            raise web.HTTPNotFound
        if "preview" in query and not self.draws:
            raise web.HTTPBadGateway
        if "preview" in query:
            return web.Response(body=b"preview:" + query["preview"].encode())
        headers = {"ETag": '"on-disk"', "Accept-Ranges": "bytes"}
        if request.headers.get("If-None-Match") == '"on-disk"':
            return web.Response(status=304, headers=headers)
        if "Range" in request.headers:
            part = request.http_range
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(body)}"
            return web.Response(status=206, body=body[part], headers=headers)
        headers["Content-Disposition"] = f'filename="{query["filename"]}"'
        return web.Response(body=body, content_type="image/png", headers=headers)


@dataclass
class Gateway:
    """A running gateway as tests see it."""

    client: TestClient[web.Request, web.Application]
    services: Services
    agent: FakeAgent
    ledger: Ledger
    clock: Callable[[], float]
    files_dir: Path
    #: the settings in force, as the only item: what a reload of the file replaces
    config: list[Settings]

    async def json(self, path: str, who: dict[str, str] | None = None, status: int = 200) -> Any:
        answer = await self.client.get(path, headers=who or ANN)
        assert answer.status == status, await answer.text()
        return await answer.json()

    async def report(self, workers: list[Worker]) -> None:
        """What the agent says it has now; the gateway has heard of it."""
        await self.ledger.report(
            Report(
                agent=Agent(id="host", url=self.agent.url, version="1", heartbeat_ms=0),
                workers=workers,
                gpus=[gpu("host-gpu", "host")],
            )
        )
        await self.services.agents.refresh()
        self.services.info.note_change()

    async def raw(self, path: str, who: dict[str, str] | None = None) -> tuple[int, bytes]:
        """GET a path exactly as written; clients tidy paths up before they send them."""
        url = self.client.make_url("/")
        reader, writer = await asyncio.open_connection(url.host, url.port)
        lines = [f"{name}: {value}" for name, value in (who or ANN).items()]
        head = [f"GET {path} HTTP/1.1", f"Host: {url.host}", "Connection: close", *lines]
        writer.write("\r\n".join([*head, "", ""]).encode())
        answer = await reader.read()
        writer.close()
        top, _, body = answer.partition(b"\r\n\r\n")
        return int(top.split(b" ")[1]), body

    async def output(
        self, user: str, body: bytes, name: str = "x_00001_.png", kind: str = "output"
    ) -> tuple[str, str]:
        """Put a file on the worker's disk and into the user's books: subfolder, filename."""
        folder = f"vg_{user}"
        self.agent.files[kind, folder, name] = body
        (record,) = await self.ledger.name_files(user, "host", "host-0", [(kind, folder, name)])
        return record.subfolder, record.filename


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def agent() -> AsyncIterator[FakeAgent]:
    fake = FakeAgent()
    server = TestServer(fake.app())
    await server.start_server()
    fake.url = str(server.make_url("/")).rstrip("/")
    yield fake
    await server.close()


@pytest.fixture
async def start(ledger: Ledger, agent: FakeAgent, tmp_path: Path) -> AsyncIterator[Start]:
    """Start gateways with given settings; they are stopped with the test."""
    running: list[TestClient[web.Request, web.Application]] = []

    async def starter(
        settings: dict[str, Any] | None = None,
        *,
        workers: int = 1,
        extra: Any = None,
        described: Any = None,
        requests: RequestMetrics | None = None,
    ) -> Gateway:
        await ledger.report(
            Report(
                agent=Agent(id="host", url=agent.url, version="1", heartbeat_ms=0),
                workers=[worker(f"host-{n}", "host-gpu", used_bytes=GIB) for n in range(workers)],
                gpus=[gpu("host-gpu", "host", used_bytes=3 * GIB)],
            )
        )
        config = [Settings.model_validate(PATIENT | (KEYS if settings is None else settings))]
        clock = Clock()
        services = make_services(
            settings=lambda: config[0],
            ledger=ledger,
            archive=MemoryArchive(),
            documents=MemoryDocuments(clock),
            input_files=MemoryInputFiles(),
            files_dir=tmp_path / "files",
            cluster_token=TOKEN,
            clock=clock,
        )
        extra_apps = extra(services) if callable(extra) else extra
        app = build(
            services,
            cluster_token=TOKEN,
            extra_apps=extra_apps,
            described=described,
            requests=requests,
            version="1",
        )
        client = TestClient(TestServer(app))
        running.append(client)
        await client.start_server()
        async with asyncio.timeout(30):  # it reads the pool by itself, a moment later
            while "host" not in services.agents.pool.agents:
                await asyncio.sleep(0.01)
        return Gateway(client, services, agent, ledger, clock, tmp_path / "files", config)

    yield starter
    for client in running:
        await client.close()


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    """Keys, four users, one worker."""
    return await start()
