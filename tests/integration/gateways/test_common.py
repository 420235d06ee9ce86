"""Keys, sessions, settings and documents are one for all gateways."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.keys import hash_key
from tests.integration.gateway_info.conftest import ANN, BOB
from tests.integration.gateway_info.test_sockets import closing, is_open
from tests.integration.gateways.conftest import Pool, Replica

Pair = tuple[Replica, Replica]


@pytest.mark.parametrize(
    "changes",
    [
        {"users.ann.key_hash": json.dumps(hash_key("fresh-key-01"))},
        {"users.ann.revoked": "true"},
    ],
)
async def test_a_key_that_ends_takes_its_sockets_at_every_gateway(
    pair: Pair, pool: Pool, changes: dict[str, str]
) -> None:
    connect = [replica.client.ws_connect for replica in pair]
    async with (
        connect[0]("/ws", headers=ANN) as one,
        connect[1]("/ws", headers=ANN) as other,
        connect[1]("/ws", headers=BOB) as bobs,
    ):
        for socket in (one, other, bobs):
            await socket.receive_json(timeout=5)
        await pool.ledger.override(changes)
        for socket in (one, other):
            await closing(socket)
        assert await is_open(bobs)
    for replica in pair:
        assert (await replica.call("GET", "/queue", ANN))[0] == 401
        assert (await replica.call("GET", "/queue", BOB))[0] == 200


async def test_a_session_holds_at_every_gateway_until_its_key_ends(pair: Pair, pool: Pool) -> None:
    form = {"key": "key-of-ann-01"}
    answer = await pair[0].client.post("/login", data=form, allow_redirects=False)
    cookie = {"Cookie": f"vramgate_session={answer.cookies['vramgate_session'].value}"}
    pair[0].client.session.cookie_jar.clear()
    for replica in pair:
        assert (await replica.call("GET", "/queue", cookie))[0] == 200
    await pool.ledger.override({"users.ann.key_hash": json.dumps(hash_key("fresh-key-01"))})
    for replica in pair:
        async with asyncio.timeout(5):
            while (await replica.call("GET", "/queue", cookie))[0] != 401:
                await asyncio.sleep(0.01)


async def test_settings_changed_at_both_at_once_lose_nothing(pair: Pair) -> None:
    await asyncio.gather(*(pair[n % 2].post("/settings", {f"s{n}": n}) for n in range(10)))
    wanted = {f"s{n}": n for n in range(10)}
    for replica in pair:
        assert await replica.get("/settings") == wanted


async def test_a_document_is_there_at_the_other_gateway_and_made_once(pair: Pair) -> None:
    path = "/userdata/workflows%2Fone.json"
    answers = await asyncio.gather(
        *(
            pair[n % 2].call("POST", f"{path}?overwrite=false", data=b"%d" % n, headers=ANN)
            for n in range(4)
        )
    )
    statuses = [status for status, _ in answers]
    assert sorted(statuses) == [200, 409, 409, 409]
    for replica in pair:
        assert await replica.get(path) == statuses.index(200)
        assert (await replica.call("GET", path, BOB))[0] == 404
