"""Every route × everybody else: nothing of the owner's is seen, nothing of it changes.

The table of routes is the application's own: a route without a row fails.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from tests.integration.gateway_info.conftest import Gateway, Start
from tests.integration.gateway_info.conftest import agent as agent
from tests.integration.gateway_info.conftest import start as start
from tests.isolation.estate import (
    ACTORS,
    NAME,
    SECRET,
    SETTINGS,
    Estate,
    headers,
    make_output,
    settle,
)
from tests.isolation.kept import Pages
from tests.isolation.kept import pages as pages
from tests.isolation.rows import OPEN, Try, rows

#: seconds in which a socket would be told what is not meant for it
LISTEN_S = 0.3


@pytest.fixture
async def estate(start: Start, pages: Pages) -> Estate:
    return await settle(await start(SETTINGS, workers=2, extra=pages))


def routes(gateway: Gateway) -> set[tuple[str, str]]:
    """Method and canonical path of every route, the forms under ``/api`` left out."""
    found = {
        (route.method, route.resource.canonical)
        for route in gateway.client.app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    return {
        (method, path)
        for method, path in found
        if not (path.startswith("/api/") and (method, path.removeprefix("/api")) in found)
    }


async def test_every_route_has_a_row_and_every_row_a_route(estate: Estate) -> None:
    known = set(rows(estate)) | OPEN
    assert routes(estate.gateway) == known


async def ask(estate: Estate, actor: str, method: str, one: Try, prefix: str = "") -> bytes:
    """The whole answer, headers included."""
    path = prefix + one.path
    if one.socket:
        return await listen(estate, actor, path)
    method = "GET" if method == "*" else method
    options = {"json": one.json} if one.json is not None else {"data": one.data()}
    answer = await estate.gateway.client.request(
        method, path, headers=headers(actor) | one.more, allow_redirects=False, **options
    )
    assert answer.status < 500, (actor, method, path, await answer.text())
    told = "".join(f"{name}: {value}\n" for name, value in answer.headers.items())
    if actor == "anonymous":
        assert answer.status in (302, 401), (method, path, answer.status)
    return told.encode() + await answer.read()


async def listen(estate: Estate, actor: str, path: str) -> bytes:
    heard = b""
    try:
        async with estate.gateway.client.ws_connect(path, headers=headers(actor)) as socket:
            while True:
                message = await socket.receive(timeout=LISTEN_S)
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    return heard
                data = message.data
                heard += data.encode() if isinstance(data, str) else data
    except TimeoutError:
        return heard
    except WSServerHandshakeError as refused:
        if refused.status not in (401, 403):
            raise
        return heard


def sees_all(actor: str, row: tuple[str, str]) -> bool:
    """Admins see whose jobs there are; never what is in them."""
    return actor == "ada" and row[1].startswith("/dashboard/api/v1/")


def leaks(answer: bytes, one: Try, estate: Estate, *, names: bool) -> bool:
    """The secret in any case; names only where the request did not say them itself."""
    if SECRET.encode() in answer:
        return True
    asked = f"{one.path} {one.json} {NAME if one.form is not None else ''}"
    known = [NAME, estate.queued, estate.running, estate.ended] if names else []
    return any(name.encode() in answer for name in known if name not in asked)


def nothing(row: tuple[str, str], one: Try) -> bool:
    """No answer is the actor's to see."""
    return False


@pytest.mark.parametrize("actor", ACTORS)
async def test_nobody_else_sees_or_changes_anything(estate: Estate, actor: str) -> None:
    assert await faults(estate, actor, nothing) == []


async def faults(
    estate: Estate, actor: str, shared: Callable[[tuple[str, str], Try], bool]
) -> list[str]:
    """First all that reads, then all that changes, then what reads once more.

    By then the actor has things of its own that are called as the owner's.

    Args:
        estate: the owner's things.
        actor: who asks.
        shared: whether an answer may hold what is the owner's.
    """
    table = rows(estate)
    reading = {row: tries for row, tries in table.items() if row[0] in ("GET", "*")}
    changing = {row: tries for row, tries in table.items() if row not in reading}
    before = await estate.inventory()
    wrong = []
    for part, names in ((reading, True), (changing, True), (reading, False)):
        for row, tries in part.items():
            wrong += [
                f"{row} tells {one.path}: {answer[:300]!r}"
                for one, answer in await all_forms(estate, actor, row, tries)
                if not shared(row, one)
                and leaks(answer, one, estate, names=names and not sees_all(actor, row))
            ]
            after = await estate.inventory()
            changed = [key for key in before if before[key] != after[key]]
            wrong += [f"{row} changes {changed}"] if changed else []
            before = after
    return wrong


async def all_forms(
    estate: Estate, actor: str, row: tuple[str, str], tries: list[Try]
) -> list[tuple[Try, bytes]]:
    """Answers to each try, bare and under ``/api`` where both are routes."""
    method, canonical = row
    forms = ("", "/api") if (method, "/api" + canonical) in _all(estate) else ("",)
    return [
        (one, await ask(estate, actor, method, one, prefix)) for one in tries for prefix in forms
    ]


def _all(estate: Estate) -> set[tuple[str, str]]:
    return {
        (route.method, route.resource.canonical)
        for route in estate.gateway.client.app.router.routes()
        if route.resource is not None
    }


async def test_the_owner_sees_what_the_rows_look_for(estate: Estate) -> None:
    blind = []
    for (method, _), tries in rows(estate).items():
        for one in tries:
            if method == "GET" and one.shows:
                answer = await ask(estate, "ann", method, one)
                if not (SECRET.encode() in answer or NAME.encode() in answer):
                    blind.append(one.path)
    assert blind == []


async def test_an_admin_may_name_another_user_where_the_dashboard_says_so(estate: Estate) -> None:
    path = f"/dashboard/api/v1/jobs/{estate.queued}/hold"
    for actor, status in (("mia", 403), ("bob", 403), ("vic", 403), ("ada", 200)):
        answer = await estate.gateway.client.post(f"{path}?user=ann", headers=headers(actor))
        assert answer.status == status, actor


async def test_two_users_with_one_graph_get_each_their_own_record(estate: Estate) -> None:
    """The same worker file is named in the books of both, and each sees only its own name."""
    gateway = estate.gateway
    await make_output(gateway, "bob", b"bobs")
    path = f"/view?filename={NAME}_00001_.png"
    for actor, content in (("ann", SECRET.encode()), ("bob", b"bobs")):
        answer = await gateway.client.get(path, headers=headers(actor))
        assert content in await answer.read()


ADMINS_ALONE = (
    ("GET", "upkeep", None),
    ("POST", "upkeep/rolling", None),
    ("POST", "upkeep/of/host-0/drain", None),
    ("GET", "upkeep/of/host-0/log", None),
    ("GET", "limits", None),
    ("GET", "limits/changes", None),
    ("GET", "limits/export", None),
    ("PUT", "limits/values/scheduler.max_running", {"value": 1}),
    ("DELETE", "limits/values/scheduler.max_running", None),
    ("PUT", "maintenance", {"on": True}),
    ("GET", "audit", None),
    ("GET", "audit/export", None),
    ("POST", "users/ann/forget", {"confirm": "ann"}),
)


@pytest.mark.parametrize("actor", ["ann", "mia", "vic"])
async def test_operations_are_the_admins_alone(estate: Estate, actor: str) -> None:
    for method, path, body in ADMINS_ALONE:
        answer = await estate.gateway.client.request(
            method,
            f"/dashboard/api/v1/{path}",
            json=body,
            headers=headers(actor) | {"If-Match": "0"},
        )
        assert answer.status == 403, (path, await answer.text())
    assert await estate.gateway.ledger.overrides() == (0, {})
