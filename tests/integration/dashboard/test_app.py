"""The dashboard mounted behind a door that says who asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, WSServerHandshakeError, web
from aiohttp.test_utils import TestServer

from config.settings import Role, Settings
from dashboard.app import build
from dashboard.live import Live
from dashboard.sampler import LIVE_SECONDS, Sampler
from scheduler.redis_ledger import RedisLedger
from scheduler.states import WaitReason
from tests.factories import GIB


def _who(request: web.Request) -> tuple[str, Role]:
    return request.headers["X-User"], Role(request.headers.get("X-Role", "artist"))


class Visitor:
    """Somebody with a name and a role."""

    def __init__(self, http: ClientSession, base: str, user: str, role: str = "artist") -> None:
        self.http, self.base = http, base
        self.headers = {"X-User": user, "X-Role": role}

    async def overview(self) -> dict[str, Any]:
        # Askers within half a second share one reading of the ledger.
        await asyncio.sleep(LIVE_SECONDS)
        async with self.http.get(
            f"{self.base}/dashboard/api/v1/overview", headers=self.headers
        ) as answer:
            assert answer.status == 200
            return await answer.json()

    def live(self, place: str = "") -> Any:
        url = f"{self.base}/dashboard/api/v1/live{place}"
        return self.http.ws_connect(url, headers=self.headers)


@pytest.fixture
async def base(ledger: RedisLedger, tmp_path: Path) -> AsyncIterator[str]:
    outer = web.Application()
    outer.add_subapp(
        "/dashboard", build(ledger, Settings, _who, static=tmp_path / "static", still_s=1.0)
    )
    async with TestServer(outer) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def _receive(socket: Any, kind: str) -> dict[str, Any]:
    while True:
        message = await socket.receive_json(timeout=20)
        if message["type"] == kind:
            return message


async def test_the_overview_shows_the_pool(floor: Any, base: str, http: ClientSession) -> None:
    await floor.run(await floor.submit())
    job = await floor.submit()
    await floor.start(job)
    waiting = await floor.submit()
    await floor.explain(waiting, WaitReason.NO_HEADROOM, "needs 4 GiB, 2 GiB are free")
    seen = await Visitor(http, base, "ann").overview()
    (card,) = seen["gpus"]
    parts = ("total", "foreign", "resident", "reserved", "free")
    assert [card[f"{part}_bytes"] / GIB for part in parts] == [24, 2, 0, 6, 16]
    (running,) = seen["running"]
    assert (running["prompt_id"], running["worker"]) == (job.prompt_id, "host-0")
    (queued,) = seen["waiting"]
    assert (queued["wait_reason"], queued["wait_detail"]) == (
        "no_headroom",
        "needs 4 GiB, 2 GiB are free",
    )
    assert seen["ended"]["own"] == {"succeeded": 1, "failed": 0, "cancelled": 0}


async def test_an_artist_reads_no_other_name_and_an_admin_all(
    floor: Any, base: str, http: ClientSession
) -> None:
    secret = b'{"1": {"text": "words of bob"}}'
    await floor.start(await floor.submit("bob", secret))
    await floor.submit("bob", secret)
    await floor.submit("ann")
    mine = json.dumps(await Visitor(http, base, "ann").overview())
    assert "bob" not in mine
    assert '"others"' in mine
    everything = json.dumps(await Visitor(http, base, "root", "admin").overview())
    assert "bob" in everything
    assert "ann" in everything
    assert "words of" not in everything


async def test_a_live_page_gets_a_snapshot_and_then_what_changes(
    floor: Any, base: str, http: ClientSession
) -> None:
    async with Visitor(http, base, "ann").live() as socket:
        first = await socket.receive_json(timeout=20)
        assert first["type"] == "snapshot"
        assert first["put"]["waiting"] == {}
        assert len(first["curves"]["gpu-0"]["at_ms"]) >= 1
        job = await floor.submit()
        update = await _receive(socket, "update")
        assert update["version"] > first["version"]
        assert [row["prompt_id"] for row in update["put"]["waiting"].values()] == [job.prompt_id]
        # what has not changed is not told again
        assert "gpus" not in update["put"]
        await floor.start(job)
        while "running" not in update["put"]:
            update = await _receive(socket, "update")
        assert update["put"]["running"][job.id]["prompt_id"] == job.prompt_id
        assert update["gone"]["waiting"] == [job.id]


async def test_live_pages_keep_names_apart(floor: Any, base: str, http: ClientSession) -> None:
    async with (
        Visitor(http, base, "ann").live() as mine,
        Visitor(http, base, "root", "admin").live() as all_,
    ):
        await _receive(mine, "snapshot")
        await _receive(all_, "snapshot")
        await floor.start(await floor.submit("bob"))
        seen, everything = await asyncio.gather(_receive(mine, "update"), _receive(all_, "update"))
        assert "bob" not in json.dumps(seen)
        assert "bob" in json.dumps(everything)


async def test_a_page_that_comes_back_gets_what_it_has_missed(
    floor: Any, base: str, http: ClientSession
) -> None:
    async with Visitor(http, base, "ann").live() as socket:
        first = await _receive(socket, "snapshot")
    job = await floor.submit()
    await asyncio.sleep(LIVE_SECONDS)
    place = f"?life={first['life']}&version={first['version']}"
    async with Visitor(http, base, "ann").live(place) as socket:
        assert (await socket.receive_json(timeout=20))["type"] == "still"
        back = await _receive(socket, "update")
        assert list(back["put"]["waiting"]) == [job.id]
        assert "gpus" not in back["put"]


async def test_a_page_that_comes_back_with_another_page_s_place_starts_anew(
    floor: Any, base: str, http: ClientSession
) -> None:
    async with Visitor(http, base, "root", "admin").live() as socket:
        theirs = await _receive(socket, "snapshot")
        place = f"?life={theirs['life']}&version={theirs['version']}"
        await floor.submit("bob")
        async with Visitor(http, base, "ann").live(place) as mine:
            first = await mine.receive_json(timeout=20)
            assert first["type"] == "snapshot"
            assert "bob" not in json.dumps(first)


async def test_a_page_is_told_while_nothing_changes_that_the_line_is_up(
    floor: Any, base: str, http: ClientSession
) -> None:
    async with Visitor(http, base, "ann").live() as socket:
        await _receive(socket, "snapshot")
        assert (await socket.receive_json(timeout=20))["type"] == "still"


async def test_a_page_is_told_so_too_while_all_that_changes_is_others(
    floor: Any, base: str, http: ClientSession
) -> None:
    job = await floor.submit("bob")
    async with Visitor(http, base, "ann").live() as socket:
        await _receive(socket, "snapshot")
        changes = 0

        async def change() -> None:
            nonlocal changes
            while True:
                changes += 1
                await floor.explain(job, WaitReason.NO_HEADROOM, f"{changes} GiB are missing")
                await asyncio.sleep(LIVE_SECONDS / 2)

        changing = asyncio.create_task(change())
        while changes < 3:
            assert (await socket.receive_json(timeout=20)) == {"type": "still"}
        changing.cancel()


async def test_nobody_opens_so_many_pages_that_others_are_shut_out(
    ledger: RedisLedger, http: ClientSession
) -> None:
    live = Live(Sampler(ledger, Settings), _who, most_of_one=2)
    app = web.Application()
    app.router.add_get("/dashboard/api/v1/live", live.handle)
    async with TestServer(app) as server:
        base = str(server.make_url("")).rstrip("/")
        ann, bob = Visitor(http, base, "ann"), Visitor(http, base, "bob")
        async with ann.live(), ann.live() as second:
            with pytest.raises(WSServerHandshakeError) as refused:
                await ann.live()
            assert refused.value.status == 503
            async with bob.live() as socket:
                assert (await _receive(socket, "snapshot"))["user"] == "bob"
            await second.close()
            async with asyncio.timeout(20):
                while len(live._pages) > 1:
                    await asyncio.sleep(0.02)
            async with ann.live() as socket:
                assert (await _receive(socket, "snapshot"))["user"] == "ann"
        await live.close()


async def test_a_page_that_is_not_built_says_how_to_build_it(
    base: str, http: ClientSession
) -> None:
    async with http.get(f"{base}/dashboard/") as answer:
        assert answer.status == 503
        assert "./run ui" in await answer.text()


async def test_the_built_page_and_its_assets_are_served_and_nothing_else(
    base: str, http: ClientSession, tmp_path: Path
) -> None:
    assets = tmp_path / "static" / "assets"
    assets.mkdir(parents=True)
    (tmp_path / "static" / "index.html").write_text("<p>the page")
    (assets / "index-abc.js").write_text("1")
    (tmp_path / "static" / "secret").write_text("no")
    async with http.get(f"{base}/dashboard") as answer:
        assert str(answer.url) == f"{base}/dashboard/"
        assert await answer.text() == "<p>the page"
        assert answer.headers["Cache-Control"] == "no-cache"
    async with http.get(f"{base}/dashboard/assets/index-abc.js") as answer:
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]
    for path in ("assets/none.js", "assets/..%2fsecret", "assets/%2e%2e%2fsecret", "secret"):
        async with http.get(f"{base}/dashboard/{path}") as answer:
            assert answer.status == 404


async def test_a_ledger_out_of_reach_is_said_plainly(http: ClientSession) -> None:
    nowhere = RedisLedger.connect("redis://127.0.0.1:1", "none")
    outer = web.Application()
    outer.add_subapp("/dashboard", build(nowhere, Settings, _who))
    async with TestServer(outer) as server:
        base = str(server.make_url("")).rstrip("/")
        visitor = Visitor(http, base, "ann")
        async with http.get(f"{base}/dashboard/api/v1/overview", headers=visitor.headers) as answer:
            assert answer.status == 503
            assert "Redis" in (await answer.json())["error"]
        async with visitor.live() as socket:
            assert (await socket.receive_json(timeout=20))["type"] == "unavailable"
    await nowhere.close()


async def test_what_is_no_address_or_no_method_of_the_api_is_said_so(
    base: str, http: ClientSession
) -> None:
    headers = {"X-User": "ann"}
    async with http.get(f"{base}/dashboard/api/v1/gpu", headers=headers) as answer:
        assert answer.status == 404
        assert "openapi.json" in (await answer.json())["error"]
    async with http.put(f"{base}/dashboard/api/v1/overview", headers=headers) as answer:
        assert answer.status == 405
        assert "GET" in answer.headers["Allow"]
        assert "takes GET, HEAD, not PUT" in (await answer.json())["error"]
