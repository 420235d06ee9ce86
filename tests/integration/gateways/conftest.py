"""Several gateways of one pool: one ledger, one database, one agent, each gateway all its own."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer

from config.settings import Settings
from gateway.app import build, make_services
from gateway.context import Services
from scheduler.ledger import Admitted, Claimed, Ending, Grant, Outcome, Report, Settled
from scheduler.live import LiveFrame, LiveHeader
from scheduler.redis_ledger import RedisLedger
from scheduler.states import Agent, Job
from store.archive import SqlArchive
from store.documents import SqlDocuments
from store.engine import open_engine
from store.input_files import SqlInputFiles
from store.migrate import migrate
from tests.factories import GIB, gpu, worker
from tests.integration.gateway_info.conftest import ANN, KEYS, PATIENT, TOKEN, Clock
from tests.integration.gateway_prompt.stage import LEASE_MS, Tab, graph, object_info
from worker_agent import endpoint
from worker_agent.captures import Captures
from worker_agent.judge import Judge
from worker_agent.live import LiveHub
from worker_agent.packs import PackRoutes
from worker_agent.worker_logs import WorkerLogs


class Files:
    """What the agent's worker answers, and the outputs on its disk."""

    def __init__(self) -> None:
        self.outputs: dict[str, bytes] = {}

    async def page(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["path"] != "object_info":
            raise web.HTTPNotFound
        return web.json_response(object_info())

    async def file(self, request: web.Request) -> web.StreamResponse:
        body = self.outputs.get(request.query["filename"])
        if body is None:
            raise web.HTTPNotFound
        return web.Response(body=body)

    async def delete(self, request: web.Request) -> web.Response:
        raise web.HTTPForbidden

    async def place(self, request: web.Request) -> web.Response:
        return web.json_response(None)  # on no disk that gateways read


class Replica:
    """One gateway."""

    def __init__(self, client: TestClient[web.Request, web.Application], services: Services):
        self.client = client
        self.services = services

    @property
    def url(self) -> str:
        return str(self.client.make_url("/")).rstrip("/")

    async def call(
        self, method: str, path: str, who: dict[str, str] = ANN, **options: Any
    ) -> tuple[int, Any]:
        """Status and body, decoded where it is JSON."""
        headers = {**who, **options.pop("headers", {})}
        async with self.client.request(method, path, headers=headers, **options) as answer:
            body = await answer.read()
            is_json = answer.content_type == "application/json" and body
            return answer.status, json.loads(body) if is_json else body

    async def get(self, path: str, who: dict[str, str] = ANN) -> Any:
        status, body = await self.call("GET", path, who)
        assert status == 200, body
        return body

    async def post(self, path: str, body: Any, who: dict[str, str] = ANN, **options: Any) -> Any:
        status, answer = await self.call("POST", path, who, json=body, **options)
        assert status == 200, answer
        return answer

    async def upload(
        self, body: bytes, name: str, who: dict[str, str] = ANN, **fields: str
    ) -> dict[str, str]:
        form = FormData()
        form.add_field("image", body, filename=name, content_type="image/png")
        for key, value in fields.items():
            form.add_field(key, value)
        status, answer = await self.call("POST", "/upload/image", who, data=form)
        assert status == 200, answer
        kept: dict[str, str] = answer
        return kept

    @asynccontextmanager
    async def tab(
        self, client_id: str = "tab", who: dict[str, str] = ANN, *, previews: bool = False
    ) -> AsyncIterator[Tab]:
        """A client's socket; nothing of it is read yet."""
        async with self.client.ws_connect(f"/ws?clientId={client_id}", headers=who) as socket:
            if previews:
                flags = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
                await socket.send_str(json.dumps(flags))
            yield Tab(socket)


class Pool:
    """The ledger, and hands to run jobs with; its agent speaks to every gateway."""

    def __init__(self, ledger: RedisLedger, files: Files, hub: LiveHub) -> None:
        self.ledger = ledger
        self.files = files
        self.hub = hub
        self.epoch = 0

    async def start(self, prompt_id: str, user: str = "ann") -> Job:
        """Admit and claim a queued job on the first idle worker."""
        snapshot = await self.ledger.snapshot(100)
        idle = next(one for one in snapshot.workers if not one.job)
        job = next(
            one
            for backlog in snapshot.backlogs
            for one in backlog.jobs
            if (one.user, one.prompt_id) == (user, prompt_id)
        )
        grant = Grant(bytes=GIB, capacity_bytes=24 * GIB)
        admitted = await self.ledger.admit(self.epoch, job, idle, grant, LEASE_MS)
        assert isinstance(admitted, Admitted), admitted
        claimed = await self.ledger.claim(
            job.id, admitted.attempt, idle.id, str(uuid.uuid4()), "sid", LEASE_MS
        )
        assert isinstance(claimed, Claimed), claimed
        return claimed.job

    def say(self, job: Job, type_: str, **data: Any) -> None:
        """A message of the worker."""
        message = {"type": type_, "data": {**data, "prompt_id": job.prompt_id}}
        self.hub.publish(
            LiveFrame(
                user=job.user,
                job=job.id,
                attempt=job.attempt,
                client_id=job.client_id,
                message=message,
            )
        )

    def show(self, job: Job, image: bytes) -> None:
        """A preview."""
        header = LiveHeader(
            user=job.user,
            job=job.id,
            attempt=job.attempt,
            client_id=job.client_id,
            event=4,
            image_type=1,
            node="2",
            metadata={"node_id": "2", "prompt_id": job.prompt_id, "image_type": "image/jpeg"},
        )
        self.hub.publish_binary(header, image)

    async def settle(self, job: Job) -> None:
        """The end of a job that went well."""
        self.hub.end(
            LiveFrame(
                user=job.user, job=job.id, attempt=job.attempt, client_id=job.client_id, end=True
            )
        )
        closing = ["execution_success", {"prompt_id": job.prompt_id, "timestamp": 1}]
        status = {"status_str": "success", "completed": True, "messages": [closing]}
        outcome = Outcome(
            ending=Ending.SUCCEEDED,
            result=json.dumps({"outputs": {}, "status": status, "meta": {}}).encode(),
            frames=json.dumps([closing]).encode(),
        )
        assert isinstance(await self.ledger.settle(job.id, job.attempt, outcome), Settled)


@pytest.fixture
async def pool(ledger: RedisLedger) -> AsyncIterator[Pool]:
    """One agent of two workers, and a leader's hands."""
    files, hub = Files(), LiveHub(lambda: 0.0)  # which therefore forgets nothing
    app = endpoint.build(
        "host",
        "1",
        TOKEN,
        hub,
        files,
        PackRoutes(lambda worker: None),
        WorkerLogs(lambda worker: None),
        Judge(lambda worker: None),
        Captures(lambda _: None),
    )  # type: ignore[arg-type]
    async with TestServer(app, host="127.0.0.1") as server:
        await ledger.report(
            Report(
                agent=Agent(id="host", url=str(server.make_url("")), version="1", heartbeat_ms=0),
                workers=[worker(f"host-{n}", "host-gpu-0") for n in range(2)],
                gpus=[gpu("host-gpu-0", "host")],
            )
        )
        held = Pool(ledger, files, hub)
        epoch = await ledger.lead("leader", LEASE_MS)
        assert epoch is not None
        held.epoch = epoch
        yield held
        hub.close()


Start = Callable[..., Awaitable[Replica]]


@pytest.fixture
async def start(
    pool: Pool, valkey_url: str, pool_name: str, tmp_path: Path
) -> AsyncIterator[Start]:
    """Start gateways of the pool; ``folder``: the host whose disk they keep uploads on."""
    async with AsyncExitStack() as running:

        async def starter(
            folder: str = "files",
            clock: Clock | None = None,
            wrap: Callable[[Any], Any] = lambda ledger: ledger,
        ) -> Replica:
            ledger = RedisLedger.connect(valkey_url, pool_name)
            running.push_async_callback(ledger.close)
            engine = open_engine(f"sqlite:///{tmp_path / 'vramgate.db'}")
            running.push_async_callback(engine.dispose)
            await migrate(engine)
            clock = clock or Clock()
            settings = Settings.model_validate(PATIENT | KEYS)
            where: list[str] = []
            services = make_services(
                settings=lambda: settings,
                ledger=wrap(ledger),
                archive=SqlArchive(engine, clock),
                documents=SqlDocuments(engine, clock),
                input_files=SqlInputFiles(engine, clock),
                files_dir=tmp_path / folder,
                cluster_token=TOKEN,
                url=lambda: where[0] if where else None,
                clock=clock,
            )
            app = build(services, cluster_token=TOKEN)
            client = TestClient(TestServer(app, host="127.0.0.1"))
            await running.enter_async_context(client)
            where.append(str(client.make_url("")).rstrip("/"))
            return Replica(client, services)

        yield starter


@pytest.fixture
async def pair(start: Start) -> tuple[Replica, Replica]:
    """Two gateways on one host."""
    return await start(), await start()


async def post(replica: Replica, client_id: str = "tab", **fields: Any) -> str:
    """Queue the small graph; its prompt id."""
    body = {"prompt": graph(), "client_id": client_id, **fields}
    return str((await replica.post("/prompt", body))["prompt_id"])
