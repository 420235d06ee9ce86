"""Caps, weights and budgets: changed at a revision, written down, told with where they come from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from config.settings import Settings
from dashboard.api.limits import Limits
from scheduler.redis_ledger import RedisLedger
from store.audit import SqlAudit
from store.engine import open_engine
from store.migrate import migrate
from tests.integration.dashboard.api.conftest import who
from tests.operations import Done

FILE = Settings.model_validate(
    {
        "users": [{"name": "ann", "weight": 2.0, "group": "film"}, {"name": "bob"}],
        "groups": [{"name": "film", "budget": 100}],
        "scheduler": {"max_running": 8},
    }
)


@dataclass
class Desk:
    """An admin's browser."""

    client: TestClient[web.Request, web.Application]
    ledger: RedisLedger
    audit: SqlAudit
    done: Done

    async def all(self) -> dict[str, Any]:
        answer = await self.client.get("/api/v1/limits", headers=ADA)
        assert answer.status == 200
        found: dict[str, Any] = await answer.json()
        return found

    async def one(self, path: str) -> dict[str, Any]:
        told = await self.all()
        rows = [*told["users"], *told["groups"], told["pool"]]
        return next(row for of in rows for row in of["limits"] if row["path"] == path)

    async def put(self, path: str, value: object, seen: int | str = 0) -> tuple[int, Any]:
        answer = await self.client.put(
            f"/api/v1/limits/values/{path}",
            json={"value": value},
            headers={**ADA, "If-Match": f'"{seen}"'},
        )
        return answer.status, await answer.json()

    async def reset(self, path: str, seen: int) -> tuple[int, Any]:
        answer = await self.client.delete(
            f"/api/v1/limits/values/{path}", headers={**ADA, "If-Match": str(seen)}
        )
        return answer.status, await answer.json()


ADA = {"X-User": "ada", "X-Role": "admin"}


@pytest.fixture
async def desk(ledger: RedisLedger, tmp_path: Path) -> AsyncIterator[Desk]:
    engine = open_engine(f"sqlite:///{tmp_path}/s.db")
    await migrate(engine)
    numbers = iter(range(1000))
    times = iter(range(1000))
    audit = SqlAudit(engine, lambda: next(times) + 1000.0, lambda: f"d{next(numbers)}")
    done = Done(lambda: FILE, origins={"users.ann.weight": "vramgate.yaml:3"})
    app = web.Application()
    app.add_routes(Limits(ledger, done.operations(), audit, who).routes())
    async with TestClient(TestServer(app)) as client:
        yield Desk(client, ledger, audit, done)
    await engine.dispose()


async def test_every_value_says_where_it_comes_from(desk: Desk) -> None:
    assert await desk.one("users.ann.weight") == {
        "path": "users.ann.weight",
        "field": "weight",
        "value": 2.0,
        "base": 2.0,
        "origin": "vramgate.yaml:3",
        "changed": None,
    }
    assert (await desk.one("users.bob.weight"))["origin"] == "default"
    told = await desk.all()
    assert [one["name"] for one in told["groups"]] == ["default", "film"]
    assert told["fields"]["max_bytes"]["words"] == "size"
    assert "GPU hours" in told["fields"]["budget"]["help"]


async def test_a_change_is_in_force_written_down_and_shown_with_who_and_when(desk: Desk) -> None:
    status, told = await desk.put("users.ann.weight", 5)
    assert status == 200
    assert told["revision"] == 1
    changed = told["limit"]
    assert (changed["value"], changed["base"], changed["origin"]) == (5.0, 2.0, "edited")
    assert changed["changed"]["by"] == "ada"
    assert await desk.ledger.overrides() == (1, {"users.ann.weight": "5.0"})
    (deed,) = await desk.audit.newest(2**53)
    assert (deed.by_user, deed.action, deed.subject) == ("ada", "limit", "limit:users.ann.weight")
    assert deed.detail == {
        "before": 2.0,
        "after": 5.0,
        "reset": False,
        "user": "ann",
        "revision": 1,
    }


async def test_taken_back_the_file_is_in_force_again(desk: Desk) -> None:
    await desk.put("scheduler.max_running", 3)
    status, told = await desk.reset("scheduler.max_running", 1)
    assert status == 200
    assert (told["limit"]["value"], told["limit"]["origin"]) == (8, "file")
    answer = await desk.client.get(
        "/api/v1/limits/changes?path=scheduler.max_running&rows=1", headers=ADA
    )
    page = await answer.json()
    (newest,) = page["changes"]
    assert (newest["before"], newest["after"], newest["reset"]) == (3, None, True)
    answer = await desk.client.get(
        f"/api/v1/limits/changes?path=scheduler.max_running&before={page['next']}", headers=ADA
    )
    (older,) = (await answer.json())["changes"]
    assert (older["before"], older["after"]) == (8, 3)


async def test_who_has_seen_an_older_revision_changes_nothing_and_is_told_the_new_one(
    desk: Desk,
) -> None:
    await desk.put("users.ann.weight", 5)
    status, told = await desk.put("users.ann.weight", 7, seen=0)
    assert (status, told["revision"]) == (412, 1)
    assert "try again" in told["error"]
    assert (await desk.ledger.overrides())[1] == {"users.ann.weight": "5.0"}
    assert (await desk.reset("users.ann.weight", 0))[0] == 412


async def test_a_change_that_comes_between_look_and_write_wins(desk: Desk) -> None:
    """As two gateways would: both have seen the same revision."""

    class Late(RedisLedger):
        async def overrides(self):
            found = await super().overrides()
            if not raced:
                raced.append(True)
                await self.override({"users.bob.weight": "9.0"})
            return found

    raced: list[bool] = []
    late = Late(
        desk.ledger.server,
        desk.ledger.keys,
        heartbeat_ms=1,
        max_losses=1,
        new_call=desk.ledger.new_call,
    )
    app = web.Application()
    app.add_routes(Limits(late, desk.done.operations(), desk.audit, who).routes())
    async with TestClient(TestServer(app)) as client:
        answer = await client.put(
            "/api/v1/limits/values/users.ann.weight",
            json={"value": 5},
            headers={**ADA, "If-Match": "0"},
        )
        assert answer.status == 412
    assert (await desk.ledger.overrides())[1] == {"users.bob.weight": "9.0"}
    newest = (await desk.audit.newest(2**53))[0]
    assert newest.action == "limit_not_changed"


@pytest.mark.parametrize(
    ("path", "value", "status", "said"),
    [
        ("users.ann.weight", 0, 400, "greater than 0"),
        ("users.ann.max_bytes", "much", 400, "24GiB"),
        ("users.ann.key_hash", "blake2b:00", 404, "no such setting"),
        ("users.nobody.weight", 1, 404, "no such setting"),
        ("gateway.port", 1, 404, "no such setting"),
    ],
)
async def test_what_cannot_be_is_refused_with_what_could_and_not_written_down(
    desk: Desk, path: str, value: object, status: int, said: str
) -> None:
    got, told = await desk.put(path, value)
    assert (got, said in told["error"]) == (status, True), told
    assert await desk.audit.newest(2**53) == []


async def test_without_a_revision_or_a_value_nothing_is_changed(desk: Desk) -> None:
    url = "/api/v1/limits/values/users.ann.weight"
    for headers, body, status in (
        ({}, {"value": 1}, 428),
        ({"If-Match": "abc"}, {"value": 1}, 428),
        ({"If-Match": "0"}, {}, 400),
        ({"If-Match": "0"}, [1], 400),
    ):
        answer = await desk.client.put(url, json=body, headers=ADA | headers)
        assert answer.status == status
    answer = await desk.client.put(url, data=b"x" * 70_000, headers={**ADA, "If-Match": "0"})
    assert answer.status == 413
    assert await desk.ledger.overrides() == (0, {})


async def test_a_store_that_is_away_lets_nothing_be_changed(desk: Desk, tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/none/at/all.db")
    app = web.Application()
    audit = SqlAudit(engine, lambda: 1.0, lambda: "x")
    app.add_routes(Limits(desk.ledger, desk.done.operations(), audit, who).routes())
    async with TestClient(TestServer(app)) as client:
        answer = await client.put(
            "/api/v1/limits/values/users.ann.weight",
            json={"value": 5},
            headers={**ADA, "If-Match": "0"},
        )
        assert answer.status == 503
    assert await desk.ledger.overrides() == (0, {})
    await engine.dispose()


async def test_changes_in_force_are_exported_as_the_file_would_have_them(desk: Desk) -> None:
    await desk.put("users.ann.weight", 5)
    await desk.put("groups.film.budget", 40, 1)
    await desk.put("scheduler.max_running", 3, 2)
    await desk.ledger.override({"users.ann.key_hash": '"blake2b:00"', "drain.host": "true"})
    answer = await desk.client.get("/api/v1/limits/export", headers=ADA)
    exported = await answer.json()
    assert exported == {
        "scheduler": {"max_running": 3},
        "users": [{"name": "ann", "weight": 5.0}],
        "groups": [{"name": "film", "budget": 40.0}],
    }
    Settings.model_validate(exported)


async def test_a_user_who_was_added_has_limits_too_and_no_key_is_told(desk: Desk) -> None:
    record = '{"name": "cleo", "group": "film", "role": "artist", "key_hash": "blake2b:5ec2e7"}'
    await desk.ledger.override({"users.cleo": record})
    assert (await desk.put("users.cleo.max_running", 2, 1))[0] == 200
    assert (await desk.one("users.cleo.max_running"))["value"] == 2
    assert "5ec2e7" not in str(await desk.all())
