from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.unit.worker_agent.probe.standins import (
    GIB,
    Cuda,
    Device,
    Patcher,
    PromptsThread,
    Queue,
    load,
    management,
)
from worker_agent.probe.card import Card
from worker_agent.probe.control import Control
from worker_agent.probe.hooks import Hooks
from worker_agent.probe.limit import SLACK, Limiter
from worker_agent.probe.memory import Memory
from worker_agent.probe.meter import Meter
from worker_agent.probe.release import Releaser
from worker_agent.probe.ring import Ring
from worker_agent.probe.routes import Routes
from worker_agent.probe.settings import Settings
from worker_agent.probe.turn import Turn

TOKEN = "worker's own"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
ROUTES = [
    *(("GET", path) for path in ("", "/", "/memory", "/records", "/capture/x")),
    *(("POST", f"/{word}") for word in ("limit", "release", "trim", "warm", "validate")),
    *(("POST", f"/{word}") for word in ("subscribe", "settings")),
]


class Pictures:
    """Previews: one is there, others are after having been asked for so many times."""

    def __init__(self) -> None:
        self.kept = {"known": b"jpeg"}
        self.making: dict[str, int] = {}

    def jpeg(self, picture: str) -> bytes | None:
        return self.kept.get(picture)

    def is_making(self, picture: str) -> bool:
        left = self.making.pop(picture, 0)
        if left > 1:
            self.making[picture] = left - 1
        elif left:
            self.kept[picture] = b"made"
        return left > 0


class Records:
    """The recording half."""

    def __init__(self, token: str | None) -> None:
        self.settings = Settings(token=token)
        self.ring = Ring("a-life")
        self.hooks = Hooks()
        self.sids: list[str] = []
        self.flush = SimpleNamespace(subscribe=self._subscribe)
        self.gallery = Pictures()
        self.troubles = SimpleNamespace(count=0, add=self._trouble)
        self.told: list[str] = []
        self.noted: list[dict[str, Any]] = []

    def catch_up(self) -> None:
        while self.noted:
            self.ring.add(self.noted.pop(0))

    def _subscribe(self, sid: str) -> int:
        self.sids.append(sid)
        return self.ring.last

    def _trouble(self, where: str, error: BaseException) -> None:
        self.troubles.count += 1
        self.told.append(where)

    def change(self, patch: dict[str, Any]) -> Settings:
        self.settings = self.settings.changed(patch)
        return self.settings


class Worker:
    """A ComfyUI with the probe's routes, on a card of 24 GiB."""

    def __init__(self, token: str | None = TOKEN) -> None:
        self.cuda = Cuda()
        self.module = management(self.cuda)
        torch = SimpleNamespace(cuda=self.cuda)
        card = Card(Device("cuda", 0), torch)
        self.queue = Queue()
        turn = Turn(self.queue)
        turn.hold(Hooks())
        self.limiter = Limiter(card, self.module)
        self.limiter.hold(Hooks())
        meter = Meter(card.device, torch)
        memory = Memory(card, meter, self.module, lambda: self.limiter.limit.size)
        self.records = Records(token)
        self.execution = SimpleNamespace(validate_prompt=lambda prompt: (True, None, ["9"], {}))
        control = Control(card, self.limiter, memory, Releaser(card, self.module), turn, torch)
        versions = {"version": "1", "comfyui": "0.3.64", "torch": "2.11"}
        routes = web.RouteTableDef()
        app_routes = Routes(self.records, control, self.execution, versions)
        app_routes.add(SimpleNamespace(routes=routes))
        self.app = web.Application()
        self.app.add_routes(routes)

    def prompt(self) -> threading.Event:
        """A prompt that runs, until the event is set."""
        end = threading.Event()
        self.queue.put(lambda: end.wait(10))
        while not self.queue.currently_running:
            threading.Event().wait(0.001)
        return end


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
async def client(worker: Worker) -> AsyncIterator[TestClient[Any, Any]]:
    with PromptsThread(worker.queue):
        async with TestClient(TestServer(worker.app)) as client:
            yield client


async def ask(
    client: TestClient[Any, Any], method: str, path: str, body: Any = None
) -> tuple[int, Any]:
    async with client.request(
        method, "/vramgate/probe" + path, json=body, headers=HEADERS
    ) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("shown", [None, "Bearer", "Bearer other", TOKEN, "Bearer \xff"])
async def test_nobody_without_the_token_is_served(
    client: TestClient[Any, Any], method: str, path: str, shown: str | None
) -> None:
    headers = {} if shown is None else {"Authorization": shown}
    async with client.request(method, "/vramgate/probe" + path, headers=headers) as response:
        assert response.status == 401
        assert TOKEN not in await response.text()


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_a_token_of_its_own_a_probe_has_no_routes(method: str, path: str) -> None:
    async with TestClient(TestServer(Worker(None).app)) as client:
        for headers in ({}, HEADERS, {"Authorization": "Bearer None"}):
            async with client.request(
                method, "/vramgate/probe" + path, headers=headers
            ) as response:
                assert response.status == 404


async def test_a_probe_tells_what_it_is(client: TestClient[Any, Any]) -> None:
    status, about = await ask(client, "GET", "")
    assert status == 200
    assert (
        about.items()
        >= {
            "probe": 1,
            "comfyui": "0.3.64",
            "device": "cuda",
            "allocator": "native",
            "limit": "enforced",
            "dynamic_vram": False,
            "boot": "a-life",
            "last": 0,
            "errors": 0,
        }.items()
    )


async def test_memory_tells_counters_and_models(
    worker: Worker, client: TestClient[Any, Any]
) -> None:
    load(worker.module, Patcher(worker.cuda, 2 * GIB, "xl/base.safetensors"))
    _, told = await ask(client, "GET", "/memory")
    assert told["allocated"] == told["reserved"] == 2 * GIB
    assert (told["device_free"], told["device_total"]) == (22 * GIB, 24 * GIB)
    assert told["context"] is None
    assert told["models"] == [
        {
            "name": "xl/base.safetensors",
            "class": "SDXL",
            "bytes": 2 * GIB,
            "loaded_bytes": 2 * GIB,
        }
    ]


async def test_a_limit_holds_when_it_is_answered(
    worker: Worker, client: TestClient[Any, Any]
) -> None:
    load(worker.module, Patcher(worker.cuda, 6 * GIB))
    status, told = await ask(client, "POST", "/limit", {"bytes": 5 * GIB, "context": GIB})
    assert (status, told) == (
        200,
        {
            "limit": 5 * GIB,
            "told": 5 * GIB,
            "torch_bytes": 4 * GIB - SLACK,
            "mode": "enforced",
        },
    )
    assert worker.cuda.pool == 0
    _, memory = await ask(client, "GET", "/memory")
    assert memory["limit"] == 5 * GIB


async def test_a_limit_and_what_is_told_are_two_numbers(
    worker: Worker, client: TestClient[Any, Any]
) -> None:
    for told in (None, 9 * GIB):
        body = {"bytes": 5 * GIB, "context": GIB, "told": told}
        status, answer = await ask(client, "POST", "/limit", body)
        assert (status, answer["told"]) == (200, told)
        assert worker.limiter.limit.told == told
    status, answer = await ask(client, "POST", "/limit", {"bytes": None})
    assert (status, answer["limit"], answer["torch_bytes"]) == (200, None, None)


@pytest.mark.parametrize(
    "body",
    [
        {"bytes": -1},
        {"bytes": "5"},
        {"bytes": True},
        {"bytes": 1.5},
        {"bytes": 100},
        {"bytes": 5 * GIB, "told": 4 * GIB},
        {"bytes": 5 * GIB, "context": 5 * GIB},
        [],
    ],
)
async def test_a_limit_that_cannot_be_is_refused(client: TestClient[Any, Any], body: Any) -> None:
    status, answer = await ask(client, "POST", "/limit", body)
    assert status == 400
    assert answer["error"]


async def test_during_a_prompt_a_limit_waits_and_one_below_its_bytes_is_refused(
    worker: Worker, client: TestClient[Any, Any]
) -> None:
    worker.cuda.hold(6 * GIB)
    end = worker.prompt()
    low, high = {"bytes": 5 * GIB, "context": GIB}, {"bytes": 9 * GIB, "context": GIB}
    assert (await ask(client, "POST", "/limit", low))[0] == 409
    status, answer = await ask(client, "POST", "/limit", high)
    assert (status, answer["limit"]) == (200, 9 * GIB)
    assert worker.limiter.limit.size is None
    end.set()
    await ask(client, "POST", "/trim", {})
    assert worker.limiter.limit.size == 9 * GIB


@pytest.mark.parametrize("path", ["/release", "/trim", "/warm"])
async def test_nothing_is_taken_from_under_a_prompt(
    worker: Worker, client: TestClient[Any, Any], path: str
) -> None:
    end = worker.prompt()
    assert (await ask(client, "POST", path, {}))[0] == 409
    end.set()


async def test_a_release_tells_before_and_after(
    worker: Worker, client: TestClient[Any, Any]
) -> None:
    load(worker.module, Patcher(worker.cuda, 2 * GIB, "old"))
    load(worker.module, Patcher(worker.cuda, 5 * GIB, "new"))
    status, told = await ask(client, "POST", "/release", {"keep": ["new"]})
    assert (status, told["unloaded"]) == (200, ["old"])
    assert (told["before"]["reserved"], told["after"]["reserved"]) == (7 * GIB, 5 * GIB)
    _, told = await ask(client, "POST", "/release", {})
    assert (told["unloaded"], told["after"]["reserved"]) == (["new"], 0)


async def test_a_trim_takes_no_model(worker: Worker, client: TestClient[Any, Any]) -> None:
    load(worker.module, Patcher(worker.cuda, 2 * GIB, "old"))
    worker.cuda.hold(GIB)
    worker.cuda.hold(-GIB)
    _, told = await ask(client, "POST", "/trim", {})
    assert (told["before"]["reserved"], told["after"]["reserved"]) == (3 * GIB, 2 * GIB)
    assert told["unloaded"] == []


async def test_a_trim_tells_the_records_that_are_asked_for_with_it(
    worker: Worker, client: TestClient[Any, Any]
) -> None:
    for _ in range(3):
        worker.records.ring.add({"kind": "sample", "at": 0.0})
    _, told = await ask(client, "POST", "/trim", {"after": 1})
    assert [record["seq"] for record in told["told"]["records"]] == [2, 3]
    assert "told" not in (await ask(client, "POST", "/trim", {}))[1]
    assert (await ask(client, "POST", "/trim", {"after": "1"}))[0] == 400


async def test_a_prompt_is_judged(client: TestClient[Any, Any]) -> None:
    assert await ask(client, "POST", "/validate", {"prompt": {"9": {}}}) == (
        200,
        {"valid": True, "error": None, "node_errors": {}, "outputs": ["9"]},
    )
    assert (await ask(client, "POST", "/validate", {"prompt": []}))[0] == 400


async def test_records_are_acknowledged_by_asking_for_later_ones(
    worker: Worker, client: TestClient[Any, Any]
) -> None:
    for _ in range(5):
        worker.records.ring.add({"kind": "sample", "at": 0.0})
    _, told = await ask(client, "GET", "/records?after=1&most=2")
    assert [record["seq"] for record in told["records"]] == [2, 3]
    assert (told["boot"], told["last"], told["lost"]) == ("a-life", 5, 0)
    _, told = await ask(client, "GET", "/records?after=3")
    assert [record["seq"] for record in told["records"]] == [4, 5]
    for _ in range(16_384):
        worker.records.ring.add({"kind": "sample", "at": 0.0})
    _, told = await ask(client, "GET", "/records?after=3&most=1")
    assert (told["records"][0]["kind"], told["lost"]) == ("gap", 2)
    assert (await ask(client, "GET", "/records?after=-1"))[0] == 400


async def test_a_socket_subscribes(worker: Worker, client: TestClient[Any, Any]) -> None:
    assert await ask(client, "POST", "/subscribe", {"sid": "mine"}) == (
        200,
        {"boot": "a-life", "last": 0},
    )
    assert worker.records.sids == ["mine"]
    assert (await ask(client, "POST", "/subscribe", {}))[0] == 400


async def test_settings_change_and_bad_ones_are_refused(client: TestClient[Any, Any]) -> None:
    status, told = await ask(client, "POST", "/settings", {"hooks": False})
    assert (status, told["hooks"]) == (200, False)
    assert "token" not in told
    assert (await ask(client, "POST", "/settings", {"token": "mine"}))[0] == 400


async def test_a_preview_that_is_being_made_is_waited_for(
    client: TestClient[Any, Any], worker: Worker
) -> None:
    worker.records.gallery.making["soon"] = 3
    async with client.get("/vramgate/probe/capture/soon", headers=HEADERS) as response:
        assert (response.status, await response.read()) == (200, b"made")


async def test_a_captured_preview_is_served(client: TestClient[Any, Any]) -> None:
    async with client.get("/vramgate/probe/capture/known", headers=HEADERS) as response:
        assert (response.content_type, await response.read()) == ("image/jpeg", b"jpeg")
    assert (await ask(client, "GET", "/capture/unknown"))[0] == 404


async def test_an_error_of_the_probe_is_counted_and_its_text_kept_back(
    worker: Worker, client: TestClient[Any, Any]
) -> None:
    def fail(prompt: Any) -> None:
        raise KeyError("a secret prompt")

    worker.execution.validate_prompt = fail
    status, told = await ask(client, "POST", "/validate", {"prompt": {}})
    assert (status, told) == (500, {"error": "the probe failed: KeyError"})
    assert worker.records.told == ["route validate"]


async def test_what_was_just_noted_is_among_the_records(
    worker: Worker, client: TestClient[Any, Any]
) -> None:
    worker.records.noted.append({"kind": "prompt", "at": 1.0})
    _, told = await ask(client, "GET", "/records?after=0")
    assert [record["kind"] for record in told["records"]] == ["prompt"]
