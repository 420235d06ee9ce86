"""Clients that show their key in a URL and open their socket without it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import WSServerHandshakeError, encode_basic_auth

from gateway.keys import hash_key
from gateway.waiting_room import MOST_OF_ADDRESS, WAITING_ROOM, Guest
from scheduler.redis_ledger import RedisLedger
from scheduler.states import Job
from tests.integration.gateway_prompt.stage import Tab, graph, kinds, remaining
from tests.integration.gateways.conftest import Pool, Replica, Start

ANN_URL, BOB_URL = "/k/url-of-ann-01", "/k/url-of-bob-01"


def new_id() -> str:
    return uuid.uuid4().hex


class Plugin:
    """A client with neither cookies nor a header for its socket."""

    def __init__(self, http: aiohttp.ClientSession, replica: Replica, prefix: str = "") -> None:
        self.http = http
        self.url = replica.url
        self.prefix = prefix
        self.headers: dict[str, str] = {}

    async def get(self, path: str = "/queue") -> int:
        async with self.http.get(self.url + self.prefix + path, headers=self.headers) as answer:
            return answer.status

    async def queue(self, client_id: str | None) -> str:
        body = {"prompt": graph(), "client_id": client_id}
        where = f"{self.url}{self.prefix}/prompt"
        async with self.http.post(where, json=body, headers=self.headers) as answer:
            assert answer.status == 200, await answer.text()
            return str((await answer.json())["prompt_id"])

    @asynccontextmanager
    async def socket(self, client_id: str, path: str = "/ws", **headers: str) -> AsyncIterator[Tab]:
        where = f"{self.url}{path}?clientId={client_id}"
        async with self.http.ws_connect(where, headers=headers) as socket:
            yield Tab(socket)

    async def refused(self, client_id: str, **headers: str) -> int:
        with pytest.raises(WSServerHandshakeError) as refusal:
            async with self.socket(client_id, **headers):
                pass
        return refusal.value.status


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@pytest.fixture
async def replica(start: Start) -> Replica:
    return await start()


@pytest.fixture
def ann(http: aiohttp.ClientSession, replica: Replica) -> Plugin:
    return Plugin(http, replica, ANN_URL)


@pytest.fixture
def bob(http: aiohttp.ClientSession, replica: Replica) -> Plugin:
    return Plugin(http, replica, BOB_URL)


async def revoke(ledger: RedisLedger, replica: Replica, user: str, key: str = "new-url-1") -> None:
    """The user's personal URL gets another key, and the gateway has heard of it."""
    await ledger.override({f"users.{user}.url_key_hash": json.dumps(hash_key(key))})
    async with asyncio.timeout(30):
        while (await replica.call("GET", f"/k/{key}/queue", who={}))[0] != 200:
            await asyncio.sleep(0.02)


async def test_a_socket_that_lost_its_key_hears_its_prompt_from_the_first_frame(
    ann: Plugin, pool: Pool
) -> None:
    mine = new_id()
    assert await ann.get() == 200
    async with ann.socket(mine) as tab:
        first = await tab.next()
        assert (first["data"]["sid"], remaining(first)) == (mine, 0)
        prompt_id = await ann.queue(mine)
        job = await pool.start(prompt_id)
        await tab.until(lambda frame: remaining(frame) == 1)
        pool.say(job, "executing", node="2")
        await tab.until(lambda frame: frame["type"] == "executing")
        await pool.settle(job)
        frames = await tab.until_idle()
    assert kinds(frames)[-3:] == ["execution_success", "status", "executing"]
    assert remaining(frames[-2]) == 0


async def test_what_it_said_of_itself_while_it_waited_counts(ann: Plugin, pool: Pool) -> None:
    mine = new_id()
    await ann.get()
    async with ann.socket(mine, "/api/ws") as tab:
        flags = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
        await tab.socket.send_str(json.dumps(flags))
        await tab.until(lambda frame: frame["type"] == "feature_flags")
        job = await pool.start(await ann.queue(mine))
        showing = asyncio.create_task(keep_showing(pool, job))
        frames = await tab.until(lambda frame: isinstance(frame, bytes))
        showing.cancel()
    assert frames[-1].startswith(b"\0\0\0\4")


async def keep_showing(pool: Pool, job: Job) -> None:
    """Previews, from before the agent knows that somebody looks."""
    while True:
        pool.show(job, b"jpeg")
        await asyncio.sleep(0.02)


async def test_a_prompt_that_overtakes_its_socket_is_not_missed(
    ann: Plugin, replica: Replica
) -> None:
    """The ticket is made after the handshake was judged, and before the socket waits."""
    assert replica.client.app is not None
    room, mine = replica.client.app[WAITING_ROOM], new_id()
    await ann.queue(mine)
    taken: list[tuple[str, str]] = []
    guest = Guest("127.0.0.1", mine, lambda user, key: taken.append((user, key)), lambda: None)
    await room.enter(guest)
    assert [user for user, _ in taken] == ["ann"]
    assert (guest.user, guest.key) == taken[0]


async def test_it_comes_back_by_its_ticket(ann: Plugin, pool: Pool) -> None:
    mine = new_id()
    job = await pool.start(await ann.queue(mine))
    for _ in range(2):
        async with ann.socket(mine) as tab:
            assert remaining(await tab.next()) == 1
    async with ann.socket(mine) as tab:
        await pool.settle(job)
        assert "execution_success" in kinds(await tab.until_idle())


@pytest.mark.parametrize(
    "header",
    [encode_basic_auth("ann", "key-of-ann-01"), "Bearer key-of-ann-01"],
    ids=["basic", "bearer"],
)
async def test_headers_may_be_lost_in_the_same_way(
    http: aiohttp.ClientSession, replica: Replica, header: str
) -> None:
    plugin, mine = Plugin(http, replica), new_id()
    plugin.headers = {"Authorization": header}
    assert await plugin.get() == 200
    async with plugin.socket(mine) as tab:
        await tab.next()
        await plugin.queue(mine)
        await tab.until(lambda frame: remaining(frame) == 1)


async def test_other_gateways_know_it_too(
    start: Start, http: aiohttp.ClientSession, pool: Pool
) -> None:
    here, there = await start(), await start()
    ann_here, ann_there, mine = Plugin(http, here, ANN_URL), Plugin(http, there), new_id()
    await ann_here.get()
    async with ann_there.socket(mine) as tab:
        await tab.next()
        job = await pool.start(await ann_here.queue(mine))
        await tab.until(lambda frame: remaining(frame) == 1)
        await pool.settle(job)
        assert "execution_success" in kinds(await tab.until_idle())
    async with ann_there.socket(mine) as tab:
        assert remaining(await tab.next()) == 0


@pytest.mark.parametrize("client_id", ["", "krita", "comfyui-photoshop-plugin", "1234567890"])
async def test_an_id_that_others_could_guess_is_no_ticket(ann: Plugin, client_id: str) -> None:
    await ann.get()
    assert await ann.refused(client_id) == 401
    await ann.queue(client_id)
    assert await ann.refused(client_id) == 401


async def test_without_a_key_used_there_it_is_401_as_ever(
    http: aiohttp.ClientSession, replica: Replica
) -> None:
    plugin, mine = Plugin(http, replica), new_id()
    assert await plugin.refused(mine) == 401
    await Plugin(http, replica, "/k/wrong-key-1").get()
    assert await plugin.refused(mine) == 401


async def test_a_ticket_opens_sockets_and_nothing_else(ann: Plugin) -> None:
    mine = new_id()
    await ann.queue(mine)
    bare = Plugin(ann.http, ann_replica(ann))
    for path in ("/queue", f"/queue?clientId={mine}", f"/history?clientId={mine}", "/view"):
        assert await bare.get(path) == 401
    async with ann.http.get(f"{ann.url}/ws?clientId={mine}") as answer:
        assert answer.status == 401
    where = f"{ann.url}/dashboard/live?clientId={mine}"
    with pytest.raises(WSServerHandshakeError) as refusal:
        async with ann.http.ws_connect(where):
            pass
    assert refusal.value.status == 401


def ann_replica(plugin: Plugin) -> Any:
    """A replica as far as ``Plugin`` needs one."""

    class Here:
        url = plugin.url

    return Here


async def test_a_socket_that_waits_hears_nothing_of_anybody(
    ann: Plugin, bob: Plugin, pool: Pool
) -> None:
    await ann.get()
    async with ann.socket(new_id()) as tab:
        assert remaining(await tab.next()) == 0
        for plugin, user in ((ann, "ann"), (bob, "bob")):
            job = await pool.start(await plugin.queue(new_id()), user)
            pool.say(job, "executing", node="2")
            pool.show(job, b"jpeg")
            await pool.settle(job)
            await pool.start(await plugin.queue(None), user)
        with pytest.raises(TimeoutError):
            await tab.socket.receive(timeout=0.5)


async def test_the_first_user_keeps_what_hangs_on_an_id_and_the_second_hears_nothing(
    ann: Plugin, bob: Plugin, pool: Pool
) -> None:
    same = new_id()
    await ann.get()
    async with ann.socket(same) as tab:
        await tab.next()
        anns = await pool.start(await ann.queue(same))
        bobs = await pool.start(await bob.queue(same), "bob")
        await pool.settle(bobs)
        await pool.settle(anns)
        frames = await tab.until_idle()
        told = {frame["data"].get("prompt_id") for frame in frames} - {None}
        assert told == {anns.prompt_id}
    assert await ann.refused(same) == 401, "two claim it, so it lets in nobody new"
    await ann.queue(same)
    assert await bob.refused(same) == 401


async def test_a_ticket_ends_with_its_key_and_so_does_its_socket(
    ann: Plugin, replica: Replica, pool: Pool
) -> None:
    mine = new_id()
    await ann.queue(mine)
    async with ann.socket(mine) as tab:
        await tab.next()
        await revoke(pool.ledger, replica, "ann")
        # a count may be on its way
        while (closed := await tab.socket.receive(timeout=30)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert closed.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    async with ann.socket(mine) as tab:  # waits, as any other
        assert remaining(await tab.next()) == 0
    ann.prefix = "/k/new-url-1"
    await ann.queue(mine)
    async with ann.socket(mine) as tab:
        assert remaining(await tab.next()) == 2


@pytest.mark.parametrize("origin", ["http://evil.example", "https://evil.example"])
async def test_a_web_page_gets_no_ticket(ann: Plugin, origin: str) -> None:
    mine = new_id()
    await ann.queue(mine)
    assert await ann.refused(mine, Origin=origin) == 401
    async with ann.socket(mine, Origin="file://") as tab:  # a plugin in an editor's own browser
        assert remaining(await tab.next()) == 1


async def test_those_who_wait_are_bounded_and_sent_away_when_no_key_is_shown_any_more(
    ann: Plugin, replica: Replica, pool: Pool
) -> None:
    assert replica.client.app is not None
    room = replica.client.app[WAITING_ROOM]
    await ann.get()
    async with AsyncExitStack() as stack:
        tabs = [
            await stack.enter_async_context(ann.socket(new_id())) for _ in range(MOST_OF_ADDRESS)
        ]
        assert await ann.refused(new_id()) == 401
        await room.look()
        assert [remaining(await tab.next()) for tab in tabs] == [0] * MOST_OF_ADDRESS
        for key in [key async for key in keys(pool, "note:seen:*")]:
            await pool.ledger.server.command("DEL", key)
        await room.look()
        ends = {(await tab.socket.receive(timeout=30)).type for tab in tabs}
        assert ends == {aiohttp.WSMsgType.CLOSE}
    assert await ann.refused(new_id()) == 401


async def keys(pool: Pool, pattern: str) -> AsyncIterator[bytes]:
    found = await pool.ledger.server.command("KEYS", pool.ledger.keys.prefix + pattern)
    for key in found:
        yield key


async def test_a_ticket_in_use_does_not_run_out(ann: Plugin, replica: Replica, pool: Pool) -> None:
    assert replica.client.app is not None
    mine = new_id()
    await ann.queue(mine)
    async with ann.socket(mine) as tab:
        await tab.next()
        (ticket,) = [key async for key in keys(pool, "note:ticket:*")]
        await pool.ledger.server.command("PEXPIRE", ticket, 60_000)
        await replica.client.app[WAITING_ROOM].look()
        assert await pool.ledger.server.command("PTTL", ticket) > 60_000


async def test_notes_hold_neither_addresses_nor_ids_in_clear(ann: Plugin, pool: Pool) -> None:
    mine = new_id()
    await ann.queue(mine)
    found = b" ".join([key async for key in keys(pool, "note:*")])
    assert found
    assert mine.encode() not in found
    assert b"127.0.0.1" not in found
