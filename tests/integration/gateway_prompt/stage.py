"""A gateway over a real ledger, with a fake agent that a test lets speak."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer

from cli.trial import trier
from config.settings import Role, Settings
from dashboard import app as dashboard
from gateway import events, websocket
from gateway.agents import Agents
from gateway.answers import Answers
from gateway.blobs import Blobs
from gateway.comfy_api import history, jobs, logs, prompt, queue
from gateway.context import SERVICES, Credential, Identity, Services, identity, set_identity
from gateway.errors import GatewayError, error_reply
from gateway.exchange import Exchange
from gateway.hub import Hub
from gateway.info import WorkerInfo
from gateway.learned import Learned
from gateway.mates import Mates
from gateway.memory_ports import MemoryArchive, MemoryDocuments, MemoryInputFiles
from gateway.near_files import NearFiles
from gateway.peers import Peers
from gateway.pool_count import PoolCount
from gateway.roster import Rosters
from gateway.standings import Standings
from scheduler.ledger import Admitted, Claimed, Ending, Grant, Outcome, Report, Settled
from scheduler.live import LiveFrame, LiveHeader, pack_binary
from scheduler.redis_ledger import RedisLedger
from scheduler.states import Agent, Job
from tests.factories import GIB, gpu, worker

TOKEN = "a-token-of-the-cluster"
LEASE_MS = 60_000
#: seconds until a frame that should come has not come: processes may stand still for a while
PATIENCE_S = 30.0


class FakeAgent:
    """An agent's endpoint: ``/v1/live``, and what its workers answer."""

    def __init__(self, object_info: dict[str, Any]) -> None:
        self.answers: dict[str, Any] = {"object_info": object_info}
        self.subscribed: set[str] = set()
        self.feed: web.WebSocketResponse | None = None
        self.url = ""
        #: prompts that were to be judged, and the nodes that the worker refuses; None: it is silent
        self.judged: list[Any] = []
        self.refused: list[str] | None = None

    async def validate(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        self.judged.append((await request.json())["prompt"])
        if self.refused is None:
            return web.Response(status=404)
        return web.json_response({"refused": self.refused})

    async def live(self, request: web.Request) -> web.WebSocketResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise web.HTTPUnauthorized
        feed = web.WebSocketResponse()
        await feed.prepare(request)
        self.feed = feed
        async for message in feed:
            self.subscribed = set(json.loads(message.data)["subscribe"])
        self.feed, self.subscribed = None, set()
        return feed

    async def comfy(self, request: web.Request) -> web.Response:
        answer = self.answers.get(request.match_info["path"])
        return web.Response(status=404) if answer is None else web.json_response(answer)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/live", self.live)
        app.router.add_post("/v1/workers/{worker}/validate", self.validate)
        app.router.add_get("/v1/workers/{worker}/comfy/{path:.*}", self.comfy)
        return app

    async def say(self, job: Job, type_: str, data: Any, **changes: Any) -> None:
        """One live message of a job."""
        await self._send(
            LiveFrame(
                user=job.user,
                job=job.id,
                attempt=job.attempt,
                client_id=job.client_id,
                message={"type": type_, "data": data},
                **changes,
            )
        )

    async def end(self, job: Job) -> None:
        """The mark that nothing more of this attempt follows."""
        await self._send(
            LiveFrame(
                user=job.user, job=job.id, attempt=job.attempt, client_id=job.client_id, end=True
            )
        )

    async def show(self, job: Job, image: bytes, **changes: Any) -> None:
        """One preview of a job."""
        fields: dict[str, Any] = {
            "user": job.user,
            "job": job.id,
            "attempt": job.attempt,
            "client_id": job.client_id,
            "event": 4,
            "image_type": 1,
            "node": "3",
            "metadata": {"node_id": "3", "prompt_id": job.prompt_id, "image_type": "image/jpeg"},
        }
        assert self.feed is not None
        await self.feed.send_bytes(pack_binary(LiveHeader(**(fields | changes)), image))

    async def _send(self, frame: LiveFrame) -> None:
        assert self.feed is not None
        await self.feed.send_str(msgspec.json.encode(frame).decode())


class Tab:
    """One client's WebSocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def next(self) -> Any:
        """The next frame: a message, or bytes."""
        frame = await self.socket.receive(timeout=PATIENCE_S)
        if frame.type is WSMsgType.BINARY:
            return frame.data
        assert frame.type is WSMsgType.TEXT, frame
        return json.loads(frame.data)

    async def until(self, wanted: Callable[[Any], bool]) -> list[Any]:
        """All frames up to the first that is wanted, that one included."""
        seen = []
        while True:
            seen.append(await self.next())
            if wanted(seen[-1]):
                return seen

    async def until_idle(self) -> list[Any]:
        """All frames up to ``executing`` with no node."""
        return await self.until(is_executing_nothing)

    async def silent(self, seconds: float = 0.2) -> bool:
        """Whether nothing comes for a while."""
        try:
            await self.socket.receive(timeout=seconds)
        except TimeoutError:
            return True
        return False


def is_executing_nothing(frame: Any) -> bool:
    """The frame that ends a prompt."""
    return isinstance(frame, dict) and frame["type"] == "executing" and not frame["data"]["node"]


def kinds(frames: list[Any]) -> list[str]:
    """Types of messages, ``binary`` for the others."""
    return [frame["type"] if isinstance(frame, dict) else "binary" for frame in frames]


def remaining(frame: Any) -> int:
    """The count in a status frame."""
    count: int = frame["data"]["status"]["exec_info"]["queue_remaining"]
    return count


class Stage:
    """The gateway, its ledger, and hands to run jobs with."""

    def __init__(self, ledger: RedisLedger, services: Services, agent: FakeAgent) -> None:
        self.ledger = ledger
        self.services = services
        self.agent = agent
        self.archive: MemoryArchive = services.archive  # type: ignore[assignment]
        self.input_files: MemoryInputFiles = services.input_files  # type: ignore[assignment]
        self.settings = Settings()
        self.roles: dict[str, Role] = {}
        self.client: TestClient[web.Request, web.Application]
        self.following: events.Following
        self.epoch = 0

    async def call(self, method: str, path: str, user: str, **options: Any) -> tuple[int, Any]:
        """Status and JSON (or None for an empty body) of one request."""
        headers = {"X-Test-User": user, **options.pop("headers", {})}
        async with self.client.request(method, path, headers=headers, **options) as answer:
            body = await answer.read()
            return answer.status, json.loads(body) if body else None

    async def get(self, path: str, user: str = "ann") -> Any:
        status, body = await self.call("GET", path, user)
        assert status == 200, body
        return body

    async def post(self, path: str, body: Any, user: str = "ann", **options: Any) -> Any:
        status, answer = await self.call("POST", path, user, json=body, **options)
        assert status == 200, answer
        return answer

    async def queue(self, user: str = "ann", client_id: str | None = "tab", **fields: Any) -> Job:
        """Post the small graph; the ledger's record of it."""
        body = {"prompt": graph(), **({"client_id": client_id} if client_id else {}), **fields}
        answer = await self.post("/prompt", body, user)
        job = await self.ledger.find(user, answer["prompt_id"])
        assert job is not None
        return job

    @asynccontextmanager
    async def tab(
        self, user: str = "ann", client_id: str | None = "tab", *, previews: bool = False
    ) -> AsyncIterator[Tab]:
        """A client's socket, past its first frames, with live frames coming in."""
        query = f"?clientId={client_id}" if client_id is not None else ""
        async with self.client.ws_connect(f"/ws{query}", headers={"X-Test-User": user}) as socket:
            tab = Tab(socket)
            if previews:
                flags = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
                await socket.send_str(json.dumps(flags))
                await tab.until(lambda frame: frame["type"] == "feature_flags")
            else:
                await tab.next()
            await self.until(lambda: user in self.agent.subscribed)
            yield tab

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something has come about."""
        async with asyncio.timeout(PATIENCE_S):
            while not true():
                await asyncio.sleep(0.005)

    async def start(self, job: Job) -> Job:
        """Admit and claim a job on the first idle worker."""
        snapshot = await self.ledger.snapshot(100)
        idle = next(one for one in snapshot.workers if not one.job)
        fresh = next(
            one for backlog in snapshot.backlogs for one in backlog.jobs if one.id == job.id
        )
        grant = Grant(bytes=GIB, capacity_bytes=24 * GIB)
        admitted = await self.ledger.admit(self.epoch, fresh, idle, grant, LEASE_MS)
        assert isinstance(admitted, Admitted), admitted
        claimed = await self.ledger.claim(
            job.id, admitted.attempt, idle.id, str(uuid.uuid4()), "sid", LEASE_MS
        )
        assert isinstance(claimed, Claimed), claimed
        return claimed.job

    async def settle(
        self, job: Job, ending: Ending = Ending.SUCCEEDED, closing: str = "execution_success"
    ) -> None:
        """Close a running job with one closing frame and a result."""
        data = {"prompt_id": job.prompt_id, "timestamp": 1}
        good = ending is Ending.SUCCEEDED
        status = {
            "status_str": "success" if good else "error",
            "completed": good,
            "messages": [[closing, data]],
        }
        result = {"outputs": {"2": {"text": [job.user]}}, "status": status, "meta": {}}
        settled = await self.ledger.settle(
            job.id,
            job.attempt,
            Outcome(
                ending=ending,
                result=json.dumps(result).encode(),
                frames=json.dumps([[closing, data]]).encode(),
            ),
        )
        assert isinstance(settled, Settled), settled


def graph(text: str = "x") -> dict[str, Any]:
    """An image and its saving."""
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0},
        },
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": text}},
    }


def object_info() -> dict[str, Any]:
    """As much of ``/object_info`` as these graphs need."""
    size = ["INT", {"default": 512, "min": 1, "max": 16384, "step": 1}]

    def node(
        required: dict[str, Any], returns: list[str], category: str, *, output: bool = False
    ) -> dict[str, Any]:
        return {
            "input": {"required": required},
            "input_order": {"required": list(required)},
            "output": returns,
            "output_is_list": [False] * len(returns),
            "output_name": returns,
            "category": category,
            "python_module": "nodes",
            "output_node": output,
        }

    return {
        "EmptyImage": node(
            {
                "width": size,
                "height": size,
                "batch_size": ["INT", {"default": 1, "min": 1, "max": 4096}],
                "color": ["INT", {"default": 0, "min": 0, "max": 0xFFFFFF}],
            },
            ["IMAGE"],
            "image",
        ),
        "ImageInvert": node({"image": ["IMAGE"]}, ["IMAGE"], "image"),
        "LoadImage": node(
            {"image": [["example.png"], {"image_upload": True}]}, ["IMAGE", "MASK"], "image"
        ),
        "Load3D": node(
            {"model_file": [[], {"file_upload": True}], "image": ["LOAD_3D", {}]}, ["IMAGE"], "3d"
        ),
        "SaveImage": node(
            {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]},
            [],
            "image",
            output=True,
        ),
    }


@web.middleware
async def as_told(request: web.Request, handler: Any) -> web.StreamResponse:
    """The caller's identity from a header; errors in ComfyUI's shape."""
    user = request.headers["X-Test-User"]
    role = request.config_dict[STAGE].roles.get(user, Role.ARTIST)
    set_identity(request, Identity(user, "default", role, Credential.TOKEN))
    try:
        answer: web.StreamResponse = await handler(request)
    except GatewayError as error:
        return error_reply(error)
    return answer


def asking(request: web.Request) -> tuple[str, Role]:
    """As ``cli.gateway`` tells the dashboard."""
    return identity(request).user, identity(request).role


STAGE: web.AppKey[Stage] = web.AppKey("stage", Stage)


def make_services(ledger: RedisLedger, folder: Path, stage: list[Stage]) -> Services:
    """The gateway's services over in-memory ports."""

    def settings() -> Settings:
        return stage[0].settings

    agents = Agents(ledger, TOKEN, time.time, lambda: 60.0)
    input_files = MemoryInputFiles()
    blobs, mates = Blobs(folder), Mates(settings)
    return Services(
        settings=settings,
        ledger=ledger,
        archive=MemoryArchive(),
        documents=MemoryDocuments(),
        input_files=input_files,
        blobs=blobs,
        peers=Peers(agents, blobs, lambda: None),
        agents=agents,
        near=NearFiles(agents, time.time),
        info=WorkerInfo(agents, ledger, input_files, mates, time.time),
        hub=Hub(),
        answers=Answers(ledger, time.time),
        standings=Standings(time.time),
        rosters=Rosters(ledger),
        exchange=Exchange(),
        mates=mates,
        pool_count=PoolCount(ledger, time.time),
        learned=Learned(ledger),
        clock=time.time,
        new_id=lambda: str(uuid.uuid4()),
    )


@asynccontextmanager
async def a_stage(
    ledger: RedisLedger, folder: Path, *, workers: int = 2, known: dict[str, Any] | None = None
) -> AsyncIterator[Stage]:
    """Everything running; with no workers nobody knows any node class."""
    agent = FakeAgent(object_info() if known is None else known)
    holder: list[Stage] = []
    services = make_services(ledger, folder, holder)
    stage = Stage(ledger, services, agent)
    holder.append(stage)
    app = web.Application(middlewares=[as_told], client_max_size=2**20)
    app[SERVICES], app[STAGE] = services, stage
    for part in (prompt, queue, history, jobs):
        app.add_routes(part.routes())
    app.add_routes(logs.internal_routes())
    app.router.add_get("/ws", websocket.handle)
    pages = dashboard.build(ledger, services.settings, asking, try_out=trier(services))
    app.add_subapp("/dashboard", pages)
    async with TestServer(agent.app(), host="127.0.0.1") as endpoint:
        agent.url = str(endpoint.make_url("")).rstrip("/")
        if workers:
            await report(ledger, agent.url, workers)
            epoch = await ledger.lead("leader", LEASE_MS)
            assert epoch is not None
            stage.epoch = epoch
        async with TestClient(TestServer(app, host="127.0.0.1")) as client:
            stage.client = client
            stage.following = await events.start(services)
            try:
                yield stage
            finally:
                await stage.following.stop()
                await services.info.close()
                await services.agents.close()


async def report(ledger: RedisLedger, url: str, workers: int) -> None:
    """A heartbeat of the fake agent."""
    await ledger.report(
        Report(
            agent=Agent(id="host", url=url, version="1", heartbeat_ms=0),
            workers=[worker(f"host-{number}", "host-gpu-0") for number in range(workers)],
            gpus=[gpu("host-gpu-0", "host")],
        )
    )
