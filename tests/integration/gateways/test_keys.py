"""A key that changes, changes at every gateway at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from gateway.keys import hash_key
from gateway.session import COOKIE
from tests.integration.gateway_info.conftest import ANN, BOB
from tests.integration.gateway_prompt.stage import graph
from tests.integration.gateways.conftest import Pool, Replica, post

Pair = tuple[Replica, Replica]
ROTATED = {"users.ann.key_hash": json.dumps(hash_key("fresh-key-01"))}
REVOKED = {"users.ann.revoked": "true", "users.ann.url_key_hash": '""'}


async def log_in(replica: Replica) -> dict[str, str]:
    answer = await replica.client.post(
        "/login", data={"key": "key-of-ann-01"}, allow_redirects=False
    )
    assert answer.status == 303
    replica.client.session.cookie_jar.clear()
    return {"Cookie": f"{COOKIE}={answer.cookies[COOKIE].value}"}


async def status(replica: Replica, who: dict[str, str], path: str = "/queue") -> int:
    return (await replica.call("GET", path, who))[0]


async def until_status(replica: Replica, who: dict[str, str], wanted: int) -> None:
    """Because it was told: after 10 s it would look by itself, but its clock stands still."""
    async with asyncio.timeout(30):
        while await status(replica, who) != wanted:
            await asyncio.sleep(0.02)


async def test_a_session_opened_at_one_gateway_is_good_at_the_other(pair: Pair) -> None:
    one, two = pair
    assert await status(two, await log_in(one)) == 200


@pytest.mark.parametrize("change", [ROTATED, REVOKED], ids=["rotated", "revoked"])
async def test_a_key_and_its_sessions_end_everywhere(
    pair: Pair, pool: Pool, change: dict[str, str]
) -> None:
    cookie = await log_in(pair[0])
    for replica in pair:
        assert await status(replica, cookie) == await status(replica, ANN) == 200
    await pool.ledger.override(change)
    for replica in pair:
        await until_status(replica, ANN, 401)
        assert await status(replica, cookie) == 401
        assert await status(replica, BOB) == 200


@pytest.mark.parametrize("change", [ROTATED, REVOKED], ids=["rotated", "revoked"])
async def test_open_sockets_end_everywhere_and_those_of_others_stay(
    pair: Pair, pool: Pool, change: dict[str, str]
) -> None:
    cookie = await log_in(pair[0])
    async with (
        pair[0].tab("a") as at_one,
        pair[1].tab("b", cookie) as at_two,
        pair[1].tab("c", BOB) as of_bob,
    ):
        for tab in (at_one, at_two, of_bob):
            await tab.next()
        await pool.ledger.override(change)
        for tab in (at_one, at_two):
            closed: Any = await tab.socket.receive(timeout=30)
            assert closed.type is aiohttp.WSMsgType.CLOSE
        assert await of_bob.silent()


async def test_a_personal_url_outlives_a_rotated_key_but_not_a_revoked_user(
    pair: Pair, pool: Pool
) -> None:
    path = "/k/url-of-ann-01/queue"
    await pool.ledger.override(ROTATED)
    for replica in pair:
        await until_status(replica, ANN, 401)
        assert await status(replica, {}, path) == 200
    await pool.ledger.override(REVOKED)
    for replica in pair:
        async with asyncio.timeout(30):
            while await status(replica, {}, path) != 401:
                await asyncio.sleep(0.02)


async def test_a_new_key_is_good_everywhere(pair: Pair, pool: Pool) -> None:
    fresh = {"Authorization": "Bearer fresh-key-01"}
    await pool.ledger.override(ROTATED)
    for replica in pair:
        await until_status(replica, ANN, 401)
        assert await status(replica, fresh) == 200


async def test_an_interrupt_without_an_id_stops_the_callers_own_jobs_at_any_gateway(
    pair: Pair, pool: Pool
) -> None:

    anns = await pool.start(await post(pair[0]))
    body = {"prompt": graph("other"), "client_id": "bobs"}
    bobs_id = (await pair[0].post("/prompt", body, BOB))["prompt_id"]
    bobs = await pool.start(bobs_id, "bob")
    assert await pair[1].call("POST", "/interrupt", ANN) == (200, b"")
    found = await pool.ledger.jobs([anns.id, bobs.id])
    assert [job.state for job in found if job is not None] == ["CANCELLING", "RUNNING"]
