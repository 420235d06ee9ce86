"""Maintenance, upkeep of workers, the audit log and forgetting, as admins ask for them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from config.edits import with_edits
from config.settings import Settings
from config.upkeep import drained, restart_path, to_restart
from dashboard.api.audit import Audit
from dashboard.api.forgetting import Forgetting
from dashboard.api.maintenance import MaintenanceMode
from dashboard.api.upkeep import Upkeep
from dashboard.looks import Looks, looked_at
from dashboard.rolling import SILENT_MS, NotBack, RollingRestart, restart_worker
from scheduler.redis_ledger import RedisLedger
from scheduler.states import WorkerState
from store.audit import SqlAudit
from store.engine import open_engine
from store.migrate import migrate
from tests.factories import report, worker
from tests.integration.dashboard.api.conftest import who
from tests.operations import Done

NOW = 1_800_000_000.0
ADA = {"X-User": "ada", "X-Role": "admin"}


class Clock:
    """Time that tests move."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Desk:
    """An admin's browser."""

    client: TestClient[web.Request, web.Application]
    ledger: RedisLedger
    audit: SqlAudit
    done: Done
    clock: Clock

    async def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] = ADA
    ) -> tuple[int, Any]:
        answer = await self.client.request(method, f"/api/v1/{path}", json=body, headers=headers)
        return answer.status, await answer.json()

    async def deeds(self) -> list[tuple[str, str, str]]:
        found = await self.audit.newest(2**53)
        return [(deed.by_user, deed.action, deed.subject) for deed in found]


@pytest.fixture
async def desk(ledger: RedisLedger, tmp_path: Path) -> AsyncIterator[Desk]:
    engine = open_engine(f"sqlite:///{tmp_path}/s.db")
    await migrate(engine)
    numbers, clock = iter(range(10_000)), Clock()
    audit = SqlAudit(engine, clock, lambda: f"d{next(numbers):05}")
    done = Done(Settings, logs={"host-0": "one\ntwo\nthree"})
    operations = done.operations()

    async def show(request: web.Request) -> web.Response:
        looked_at(request, f"job:{request.match_info['id']}", request.query["of"])
        return web.json_response({}, status=int(request.query.get("status", "200")))

    app = web.Application(middlewares=[Looks(audit, who, clock).middleware()])
    upkeep = Upkeep(ledger, operations, audit, who)
    for routes in (
        upkeep.routes(),
        MaintenanceMode(ledger, operations, audit, who, clock).routes(),
        Audit(audit, Settings, who, clock).routes(),
        Forgetting(operations, who).routes(),
        [web.get("/api/v1/show/{id}", show)],
    ):
        app.add_routes(routes)
    async with TestClient(TestServer(app)) as client:
        yield Desk(client, ledger, audit, done, clock)
    await upkeep.rolling.close()
    await engine.dispose()


# ── maintenance ──────────────────────────────────────────────────────────────


async def test_maintenance_is_switched_told_to_everybody_and_ends_at_its_time(desk: Desk) -> None:
    until_ms = int(NOW * 1000) + 60_000
    wanted = {"on": True, "message": " new disks ", "until_ms": until_ms}
    assert await desk.ask("PUT", "maintenance", wanted) == (
        200,
        {"on": True, "message": "new disks", "until_ms": until_ms},
    )
    settings = with_edits(Settings(), (await desk.ledger.overrides())[1])
    assert settings.maintenance.enabled
    status, told = await desk.ask("GET", "maintenance", headers={"X-User": "ann"})
    assert (status, told["on"]) == (200, True)
    desk.clock.now += 61
    assert (await desk.ask("GET", "maintenance"))[1] == {
        "on": False,
        "message": "",
        "until_ms": None,
    }
    assert await desk.deeds() == [("ada", "maintenance", "pool")]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"on": "yes"},
        {"on": True, "until_ms": 5},
        {"on": True, "until_ms": True},
        {"on": True, "until_ms": 2**60},
        {"on": True, "message": "x" * 301},
        {"on": True, "message": 5},
    ],
)
async def test_a_wrong_switch_changes_nothing(desk: Desk, body: dict[str, Any]) -> None:
    status, told = await desk.ask("PUT", "maintenance", body)
    assert (status, bool(told["error"])) == (400, True)
    assert (await desk.ledger.overrides())[0] == 0


# ── upkeep ───────────────────────────────────────────────────────────────────


async def host(desk: Desk, **changes: Any) -> None:
    workers = [worker(f"host-{n}", "gpu", **changes) for n in range(2)]
    await desk.ledger.report(report("host", workers))


async def test_a_host_is_drained_and_comes_back(desk: Desk) -> None:
    await host(desk)
    status, told = await desk.ask("POST", "upkeep/of/host/drain")
    assert (status, told) == (200, {"action": "drain", "workers": ["host-0", "host-1"]})
    assert drained((await desk.ledger.overrides())[1]) == {"host"}
    _, told = await desk.ask("GET", "upkeep")
    assert [one["host_drained"] for one in told["workers"]] == [True, True]
    await desk.ask("POST", "upkeep/of/host-1/drain")
    await desk.ask("POST", "upkeep/of/host/undrain")
    assert drained((await desk.ledger.overrides())[1]) == frozenset()
    assert [deed[1] for deed in await desk.deeds()] == ["drain", "drain", "undrain"]


async def test_a_worker_is_asked_to_restart_and_nobody_elses_name_is_taken(desk: Desk) -> None:
    await host(desk)
    await desk.ask("POST", "upkeep/of/host-1/restart")
    assert to_restart((await desk.ledger.overrides())[1]) == {"host-1"}
    status, told = await desk.ask("POST", "upkeep/of/nobody/drain")
    assert (status, "nobody" in told["error"]) == (404, True)


async def test_a_log_is_read_through_its_host_and_that_somebody_read_it_is_known(
    desk: Desk,
) -> None:
    await host(desk)
    status, told = await desk.ask("GET", "upkeep/of/host-0/log?lines=2")
    assert (status, told["lines"]) == (200, ["two", "three"])
    status, told = await desk.ask("GET", "upkeep/of/host-1/log")
    assert (status, "does not answer" in told["error"]) == (502, True)
    assert (await desk.ask("GET", "upkeep/of/other/log"))[0] == 404
    assert {deed[2] for deed in await desk.deeds()} == {"log:host-0"}


async def test_a_rolling_restart_goes_on_when_the_one_before_is_back(desk: Desk) -> None:
    """The agent is played: it restarts what is asked for, and reports it READY."""
    await host(desk)
    asked = []

    async def agent() -> None:
        while len(asked) < 2:
            for one in to_restart((await desk.ledger.overrides())[1]):
                asked.append(one)
                await desk.ledger.override({restart_path(one): None})
            await asyncio.sleep(0.01)

    assert (await desk.ask("POST", "upkeep/rolling"))[0] == 200
    status, told = await desk.ask("POST", "upkeep/rolling")
    assert (status, "under way" in told["error"]) == (409, True)
    playing = asyncio.create_task(agent())
    while (state := (await desk.ask("GET", "upkeep"))[1]["rolling"])["running"]:
        await asyncio.sleep(0.05)
    assert asked == state["done"] == ["host-0", "host-1"]
    assert (state["error"], state["left"], state["by"]) == ("", [], "ada")
    await playing


@pytest.mark.parametrize(("name", "silent_ms"), [("host-0", -1), ("gone", SILENT_MS)])
async def test_a_worker_whose_host_says_nothing_of_it_is_waited_for_no_longer(
    ledger: RedisLedger, name: str, silent_ms: int
) -> None:
    async def tick() -> None:
        raise AssertionError("nobody waits")

    await ledger.report(report("host", [worker("host-0", "gpu")]))
    with pytest.raises(NotBack, match="says nothing of it"):
        await restart_worker(ledger, name, time.monotonic, tick, silent_ms)
    assert to_restart((await ledger.overrides())[1]) == frozenset()


async def test_of_two_gateways_that_are_asked_at_once_one_restarts(ledger: RedisLedger) -> None:
    await ledger.report(report("host", [worker("host-0", "gpu")]))
    gateways = [RollingRestart(ledger, time.monotonic, name) for name in ("one", "other")]
    begun = await asyncio.gather(
        *(gateway.begin(["host-0"], "ada") for gateway in gateways for _ in range(2))
    )
    assert sum(begun) == 1
    for gateway in gateways:
        await gateway.close()


async def test_a_pool_without_ready_workers_has_nothing_to_restart(desk: Desk) -> None:
    await host(desk, state=WorkerState.DOWN)
    assert (await desk.ask("POST", "upkeep/rolling"))[0] == 409


# ── audit ────────────────────────────────────────────────────────────────────


async def test_an_admins_looks_are_one_entry_an_hour_for_each_thing(desk: Desk) -> None:
    for _ in range(3):
        await desk.ask("GET", "show/j1?of=ann")
    await desk.ask("GET", "show/j2?of=ann")
    other = {"X-User": "axel", "X-Role": "admin"}
    await desk.ask("GET", "show/j1?of=ann", headers=other)
    assert sorted(await desk.deeds()) == [
        ("ada", "view", "job:j1"),
        ("ada", "view", "job:j2"),
        ("axel", "view", "job:j1"),
    ]
    desk.clock.now += 3600
    await desk.ask("GET", "show/j1?of=ann")
    assert len(await desk.deeds()) == 4


async def test_two_gateways_make_one_entry_together(desk: Desk) -> None:
    await desk.ask("GET", "show/j1?of=ann")
    await desk.audit.note_look("ada", "job:j1", {"user": "ann"})
    assert len(await desk.deeds()) == 1


async def test_looks_at_ones_own_artists_looks_and_refusals_are_no_entries(desk: Desk) -> None:
    await desk.ask("GET", "show/j1?of=ada")
    await desk.ask("GET", "show/j1?of=ann", headers={"X-User": "ann"})
    await desk.ask("GET", "show/j1?of=ann&status=404")
    assert await desk.deeds() == []


async def test_a_page_is_shown_where_the_look_cannot_be_stored(desk: Desk, tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/none/at/all.db")
    audit = SqlAudit(engine, desk.clock, lambda: "x")

    async def show(request: web.Request) -> web.Response:
        looked_at(request, "job:j1", "ann")
        return web.Response()

    app = web.Application(middlewares=[Looks(audit, who, desk.clock).middleware()])
    app.router.add_get("/", show)
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/", headers=ADA)).status == 200
    await engine.dispose()


async def test_the_log_is_read_in_pages_and_by_what_is_looked_for(desk: Desk) -> None:
    for n in range(5):
        await desk.audit.note("ada", "limit", f"limit:users.u{n}.weight", {"user": f"u{n}"})
    await desk.audit.note("axel", "drain", "worker:host", {"workers": ["host-0"]})
    _, told = await desk.ask("GET", "audit?rows=4")
    assert len(told["entries"]) == 4
    _, rest = await desk.ask("GET", f"audit?rows=4&before={told['next']}")
    assert (len(rest["entries"]), rest["next"]) == (2, None)
    assert len({one["id"] for one in told["entries"] + rest["entries"]}) == 6
    for query, count in (
        ("by=axel", 1),
        ("action=limit", 5),
        ("subject=limit:", 5),
        ("subject=limit:users.u1.weight", 1),
        ("subject=limit%25:", 0),
    ):
        assert len((await desk.ask("GET", f"audit?{query}"))[1]["entries"]) == count, query
    assert told["keep_seconds"] == 365 * 86400
    (entry,) = (await desk.ask("GET", "audit?subject=limit:users.u1.weight"))[1]["entries"]
    assert (entry["user"], entry["detail"]) == ("u1", {})


async def test_it_is_taken_away_whole_and_spreadsheets_run_nothing_of_it(desk: Desk) -> None:
    await desk.audit.note("=1+1", "drain", "worker:host", {"workers": ["ä"]})
    answer = await desk.client.get("/api/v1/audit/export?format=csv", headers=ADA)
    rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert [row["action"] for row in rows] == ["export", "drain"] or [
        row["action"] for row in rows
    ] == ["drain", "export"]
    by = next(row["by"] for row in rows if row["action"] == "drain")
    assert by == "'=1+1"
    answer = await desk.client.get("/api/v1/audit/export", headers=ADA)
    assert len(json.loads(await answer.text())) == 3


# ── forgetting ───────────────────────────────────────────────────────────────


async def test_only_who_repeats_the_name_lets_somebody_be_forgotten(desk: Desk) -> None:
    assert (await desk.ask("POST", "users/ann/forget", {"confirm": "bob"}))[0] == 400
    assert (await desk.ask("POST", "users/ann/forget"))[0] == 400
    assert desk.done.forgotten == []
    assert await desk.ask("POST", "users/ann/forget", {"confirm": "ann"}) == (
        200,
        {"gone": {"jobs": 3}},
    )
    assert desk.done.forgotten == [("ann", "ada")]
    desk.done.busy = "ann has unfinished jobs"
    status, told = await desk.ask("POST", "users/ann/forget", {"confirm": "ann"})
    assert (status, told["error"]) == (409, "ann has unfinished jobs")
