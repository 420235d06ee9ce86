from __future__ import annotations

import base64
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import WSServerHandshakeError, encode_basic_auth, web
from yarl import URL

from gateway.context import identity
from gateway.door import refresh_overrides
from gateway.keys import hash_key
from gateway.session import COOKIE
from tests.integration.gateway_info.conftest import ANN, BOB, KEYS, TOKEN, Gateway, Start

PAGE = {"Accept": "text/html,application/xhtml+xml"}


def basic(user: str) -> dict[str, str]:
    return {"Authorization": encode_basic_auth(user, "key-of-ann-01")}


async def who(gateway: Gateway, path: str = "/settings", **how: Any) -> int:
    answer = await gateway.client.get(path, allow_redirects=False, **how)
    return answer.status


async def log_in(gateway: Gateway, key: str = "key-of-ann-01") -> str:
    answer = await gateway.client.post(
        "/login", data={"key": key, "next": "/x"}, allow_redirects=False
    )
    assert answer.status == 303
    return answer.cookies[COOKIE].value


@pytest.mark.parametrize(
    "how",
    [
        {"headers": ANN},
        {"headers": {"X-API-Key": "key-of-ann-01"}},
        {"headers": basic("ann")},
        {"params": {"token": "key-of-ann-01"}},
    ],
    ids=["bearer", "x-api-key", "basic", "token"],
)
async def test_every_way_to_show_a_key_leads_to_the_same_user(
    gateway: Gateway, how: dict[str, Any]
) -> None:
    await gateway.services.documents.change_settings("ann", {"mine": 1})
    answer = await gateway.client.get("/api/settings", **how)
    assert await answer.json() == {"mine": 1}


@pytest.mark.parametrize(
    "login",
    ["ann:key-of-ann-01", ":key-of-ann-01", "api:key-of-ann-01", "token:key-of-ann-01"],
)
async def test_user_and_key_in_the_url_are_basic_on_http_and_sockets(
    gateway: Gateway, login: str
) -> None:
    await gateway.services.documents.change_settings("ann", {"mine": 1})
    user, _, key = login.partition(":")
    url = URL(str(gateway.client.make_url("/"))).with_user(user).with_password(key)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        assert await (await http.get(url / "settings")).json() == {"mine": 1}
        async with http.ws_connect(url.with_scheme("ws") / "ws") as socket:
            assert (await socket.receive_json(timeout=30))["type"] == "status"


async def test_a_key_alone_before_the_host_is_enough(gateway: Gateway) -> None:
    alone = base64.b64encode(b"key-of-ann-01:").decode()
    assert await who(gateway, headers={"Authorization": f"Basic {alone}"}) == 200
    wrong = base64.b64encode(b"ann:").decode()
    assert await who(gateway, headers={"Authorization": f"Basic {wrong}"}) == 401


async def test_a_token_is_enough_for_a_socket(gateway: Gateway) -> None:
    for path in ("/ws?clientId=c&token=key-of-ann-01", "/api/ws?token=key-of-ann-01&clientId=c"):
        async with gateway.client.ws_connect(path) as socket:
            assert (await socket.receive_json(timeout=30))["data"]["sid"] == "c"


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"headers": {"Authorization": "Bearer wrong-key"}},
        {"headers": {"Authorization": "Digest x"}},
        {"headers": {"Authorization": "Basic !!!"}},
        {"headers": {"X-API-Key": "url-of-ann-01"}},
        {"headers": basic("bob")},
        {"params": {"token": "url-of-ann-01"}},
        {"cookies": {COOKIE: "a.b.c.d"}},
        {"headers": {"comfy-user": "ann"}},
    ],
)
async def test_without_a_valid_key_the_answer_is_401_in_comfyuis_shape(
    gateway: Gateway, how: dict[str, Any]
) -> None:
    answer = await gateway.client.get("/settings", **how)
    assert answer.status == 401
    assert "Bearer" in answer.headers["WWW-Authenticate"]
    body = await answer.json()
    assert body["error"]["type"] == "unauthorized"
    assert body["node_errors"] == {}


async def test_a_wrong_key_is_refused_even_beside_a_good_cookie(gateway: Gateway) -> None:
    cookie = await log_in(gateway)
    headers = {"Authorization": "Bearer wrong", "Cookie": f"{COOKIE}={cookie}"}
    assert await who(gateway, headers=headers) == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/login"])
async def test_probes_and_the_login_page_need_no_key(gateway: Gateway, path: str) -> None:
    assert await who(gateway, path) == 200


@pytest.mark.parametrize("path", ["/", "/api/queue", "/view", "/assets/x.js", "/nothing", "/k/"])
async def test_everything_else_does(gateway: Gateway, path: str) -> None:
    assert await who(gateway, path) == 401


async def test_a_person_is_sent_to_the_login_page_and_back(gateway: Gateway) -> None:
    answer = await gateway.client.get("/dashboard/", headers=PAGE, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (302, "/login?next=/dashboard/")
    page = await (await gateway.client.get(answer.headers["Location"])).text()
    assert 'value="/dashboard/"' in page
    assert "<script" not in page


async def test_logging_in_sets_a_cookie_that_scripts_cannot_read(gateway: Gateway) -> None:
    answer = await gateway.client.post(
        "/login", data={"key": " key-of-ann-01 ", "next": "//evil.example"}, allow_redirects=False
    )
    assert (answer.status, answer.headers["Location"]) == (303, "/evil.example")
    cookie = answer.cookies[COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert not cookie["secure"]
    assert "key-of-ann" not in cookie.value
    assert await who(gateway, cookies={COOKIE: cookie.value}) == 200


async def test_a_typed_next_cannot_bring_markup_into_the_page(gateway: Gateway) -> None:
    page = await (await gateway.client.get('/login?next=/"><b>x')).text()
    assert "<b>x" not in page


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"--", "multipart/form-data"),
        (b'{"key": "x"}', "application/json"),
        (b"key=" + b"x" * 100_000, "application/x-www-form-urlencoded"),
    ],
)
async def test_the_login_reads_nothing_but_its_own_small_form(
    gateway: Gateway, body: bytes, kind: str
) -> None:
    answer = await gateway.client.post("/login", data=body, headers={"Content-Type": kind})
    assert answer.status == 400
    assert (await answer.json())["error"]["type"] == "bad_request"


async def test_ten_wrong_keys_close_the_login_for_a_minute(gateway: Gateway) -> None:
    for number in range(10):
        wrong = {"key": f"wrong-key-{number}"}
        assert (await gateway.client.post("/login", data=wrong)).status == 401
    blocked = await gateway.client.post("/login", data={"key": "key-of-ann-01"})
    assert blocked.status == 429
    assert "Retry-After" in blocked.headers
    gateway.clock.now += 61  # type: ignore[attr-defined]
    await log_in(gateway)


@pytest.mark.parametrize(
    ("path", "how"),
    [
        ("/settings", {"headers": {"Authorization": "Bearer wrong-key"}}),
        ("/settings", {"headers": {"X-API-Key": "wrong-key"}}),
        ("/settings", {"headers": basic("bob")}),
        ("/settings", {"params": {"token": "wrong-key"}}),
        ("/settings", {"headers": {"Cookie": f"{COOKIE}=a.b.c.d"}}),
        ("/k/wrong-key/settings", {}),
        ("/ws", {"headers": {"X-API-Key": "wrong-key", "Upgrade": "websocket"}}),
    ],
    ids=["bearer", "x-api-key", "basic", "token", "cookie", "url", "socket"],
)
async def test_a_wrong_key_shown_again_and_again_is_told_to_wait(
    gateway: Gateway, path: str, how: dict[str, Any]
) -> None:
    for _ in range(10):
        assert await who(gateway, path, **how) == 401
    answer = await gateway.client.get(path, **how)
    assert answer.status == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert (await answer.json())["error"]["type"] == "too_many_attempts"
    assert await who(gateway, headers=BOB) == 200, "a right key of the same address"


async def test_who_guesses_keys_is_told_to_wait_and_who_was_let_in_before_is_not(
    gateway: Gateway,
) -> None:
    cookie = await log_in(gateway)
    for number in range(10):
        await who(gateway, headers={"X-API-Key": f"wrong-key-{number}"})
    assert await who(gateway, headers={"X-API-Key": "wrong-key-10"}) == 429
    assert await who(gateway, headers=BOB) == 429
    assert await who(gateway, "/k/url-of-bob-01/settings") == 429
    assert await who(gateway, headers=ANN) == 200
    assert await who(gateway, headers={"Cookie": f"{COOKIE}={cookie}"}) == 200
    gateway.clock.now += 61  # type: ignore[attr-defined]
    assert await who(gateway, headers=BOB) == 200


async def test_logging_out_takes_the_cookie_away(gateway: Gateway) -> None:
    answer = await gateway.client.post("/logout", allow_redirects=False)
    assert answer.headers["Location"] == "/login"
    assert answer.cookies[COOKIE].value == ""


async def test_a_session_ends_when_its_key_is_rotated_or_its_user_revoked(gateway: Gateway) -> None:
    app = gateway.client.app
    assert app is not None
    for change in (
        {"users.ann.key_hash": json.dumps(hash_key("fresh-key-01"))},
        {"users.ann.key_hash": None, "users.ann.revoked": "true"},
    ):
        cookie = await log_in(gateway)
        assert await who(gateway, cookies={COOKIE: cookie}) == 200
        await gateway.ledger.override(change)
        await refresh_overrides(app)
        assert await who(gateway, cookies={COOKIE: cookie}) == 401
        assert await who(gateway, headers=ANN) == 401
        await gateway.ledger.override(dict.fromkeys(change))
        await refresh_overrides(app)


async def test_a_lost_push_of_a_revocation_is_made_up_for(gateway: Gateway) -> None:
    assert await who(gateway, headers=ANN) == 200
    await gateway.ledger.override({"users.ann.revoked": "true"})
    gateway.clock.now += 11  # type: ignore[attr-defined]
    assert await who(gateway, headers=ANN) == 401


async def test_a_user_added_by_the_admin_comes_in_with_limits_of_its_own(gateway: Gateway) -> None:
    user = {"key_hash": hash_key("key-of-eve-01"), "max_queued": 3}
    await gateway.ledger.override({"users.eve": json.dumps(user)})
    app = gateway.client.app
    assert app is not None
    await refresh_overrides(app)
    assert await who(gateway, headers={"X-API-Key": "key-of-eve-01"}) == 200
    eve = gateway.services.settings().user("eve")
    assert eve is not None
    assert eve.max_queued == 3


async def test_a_page_opened_with_a_token_becomes_a_session_without_it(gateway: Gateway) -> None:
    answer = await gateway.client.get(
        "/dashboard/?a=1&token=key-of-ann-01&b=2", headers=PAGE, allow_redirects=False
    )
    assert (answer.status, answer.headers["Location"]) == (302, "/dashboard/?a=1&b=2")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert await who(gateway, cookies={COOKIE: answer.cookies[COOKIE].value}) == 200


async def test_a_token_on_a_strange_path_cannot_redirect_away(gateway: Gateway) -> None:
    url = URL(f"{gateway.client.make_url('/')}/evil.example/?token=key-of-ann-01")
    answer = await gateway.client.session.get(url, headers=PAGE, allow_redirects=False)
    assert answer.status == 302
    assert answer.headers["Location"].startswith("/evil.example")


class TestPersonalUrl:
    async def test_every_route_works_behind_it(self, gateway: Gateway) -> None:
        await gateway.services.documents.change_settings("ann", {"mine": 1})
        base = "/k/url-of-ann-01"
        assert await (await gateway.client.get(f"{base}/api/settings")).json() == {"mine": 1}
        stored = await gateway.client.post(f"{base}/userdata/workflows%2Fa.json", data=b"{}")
        assert await stored.json() == "workflows/a.json"
        found = await gateway.client.get(f"{base}/userdata?dir=workflows")
        assert await found.json() == ["a.json"]
        large = await gateway.client.post(
            f"{base}/settings", data=b'{"a":1}', headers={"Expect": "100-continue"}, expect100=True
        )
        assert large.status == 200

    async def test_sockets_work_behind_it(self, gateway: Gateway) -> None:
        async with gateway.client.ws_connect("/k/url-of-ann-01/ws?clientId=c1") as socket:
            frame = await socket.receive_json(timeout=30)
        assert frame["type"] == "status"
        assert frame["data"]["sid"] == "c1"

    async def test_a_page_load_sets_the_cookie_and_hides_the_key(self, gateway: Gateway) -> None:
        for path, target in (
            ("/k/url-of-ann-01/", "/"),
            ("/k/url-of-ann-01", "/"),
            ("/k/url-of-ann-01/dashboard/?tab=1", "/dashboard/?tab=1"),
            ("/k/url-of-ann-01//evil.example", "/evil.example"),
        ):
            answer = await gateway.client.get(path, headers=PAGE, allow_redirects=False)
            assert (answer.status, answer.headers["Location"]) == (302, target)
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            cookie = answer.cookies[COOKIE].value
            assert await who(gateway, cookies={COOKIE: cookie}) == 200

    @pytest.mark.parametrize("key", ["key-of-ann-01", "url-of-nobody", "", "..", "%2e%2e"])
    async def test_only_keys_made_for_it_are_valid(self, gateway: Gateway, key: str) -> None:
        assert await who(gateway, f"/k/{key}/settings") == 401

    async def test_it_ends_with_its_key_alone(self, gateway: Gateway) -> None:
        await gateway.ledger.override({"users.ann.url_key_hash": json.dumps(hash_key("new-url-1"))})
        assert gateway.client.app is not None
        await refresh_overrides(gateway.client.app)
        assert await who(gateway, "/k/url-of-ann-01/settings") == 401
        assert await who(gateway, "/k/new-url-1/settings") == 200
        assert await who(gateway, headers=ANN) == 200

    async def test_it_opens_no_way_around_the_cluster_token(self, gateway: Gateway) -> None:
        assert await who(gateway, f"/k/url-of-ann-01/cluster/v1/inputs/{'0' * 64}") == 401


class TestBrowsers:
    EVIL = {"Origin": "http://evil.example"}  # noqa: RUF012

    async def test_a_foreign_page_can_change_nothing_on_a_cookie(self, gateway: Gateway) -> None:
        cookie = {"Cookie": f"{COOKIE}={await log_in(gateway)}"}
        for headers in (
            {**cookie, **self.EVIL},
            {**cookie, "Sec-Fetch-Site": "cross-site"},
            {**cookie, "Origin": "null"},
        ):
            answer = await gateway.client.post("/settings", data=b"{}", headers=headers)
            assert answer.status == 403
        own = {**cookie, "Origin": str(gateway.client.make_url("/")).rstrip("/")}
        assert (await gateway.client.post("/settings", data=b"{}", headers=own)).status == 200

    async def test_nor_open_a_socket(self, gateway: Gateway) -> None:
        cookie = {"Cookie": f"{COOKIE}={await log_in(gateway)}"}
        with pytest.raises(WSServerHandshakeError) as refused:
            await gateway.client.ws_connect("/ws", headers={**cookie, **self.EVIL})
        assert refused.value.status == 403
        async with gateway.client.ws_connect("/api/ws", headers=cookie) as socket:
            assert (await socket.receive_json(timeout=30))["type"] == "status"

    async def test_basic_counts_as_sent_by_the_browser_itself(self, gateway: Gateway) -> None:
        headers = {**basic("ann"), **self.EVIL}
        answer = await gateway.client.post("/settings", data=b"{}", headers=headers)
        assert answer.status == 403

    async def test_a_key_in_a_header_is_shown_on_purpose(self, gateway: Gateway) -> None:
        answer = await gateway.client.post("/settings", data=b"{}", headers={**ANN, **self.EVIL})
        assert answer.status == 200

    async def test_a_foreign_page_can_log_nobody_in_or_out(self, gateway: Gateway) -> None:
        data = {"key": "key-of-ann-01"}
        assert (await gateway.client.post("/login", data=data, headers=self.EVIL)).status == 403
        assert (await gateway.client.post("/logout", headers=self.EVIL)).status == 403
        for site in ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, {}):
            answer = await gateway.client.get("/logout", headers=site)
            assert "Set-Cookie" not in answer.headers
            assert '<form method="post" action="/logout">' in await answer.text()
        own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
        answer = await gateway.client.get("/logout", headers=own, allow_redirects=False)
        assert answer.cookies[COOKIE].value == ""

    async def test_browsers_get_no_basic_box(self, gateway: Gateway) -> None:
        chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
        for headers in ({"User-Agent": chrome}, {"Sec-Fetch-Mode": "cors"}):
            answer = await gateway.client.get("/settings", headers=headers)
            assert "Basic" not in answer.headers["WWW-Authenticate"]

    async def test_programs_that_wait_for_it_are_offered_basic(self, gateway: Gateway) -> None:
        for agent in ("Mozilla/5.0", "Wget/1.21", ""):
            answer = await gateway.client.get("/settings", headers={"User-Agent": agent})
            assert answer.headers["WWW-Authenticate"].startswith('Basic realm="vramgate"')

    async def test_every_answer_carries_the_security_headers(self, gateway: Gateway) -> None:
        for path, headers in (("/settings", ANN), ("/nothing", ANN), ("/settings", {})):
            answer = await gateway.client.get(path, headers=headers)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert "private" in answer.headers["Cache-Control"]

    async def test_a_rebound_host_name_is_refused_where_there_are_no_keys(
        self, start: Start
    ) -> None:
        gateway = await start({})
        rebound = {"Host": "rebound.evil.example"}
        answer = await gateway.client.get("/settings", headers=rebound)
        assert answer.status == 421
        assert await who(gateway, headers={"Host": "localhost:1234"}) == 200
        assert await who(gateway, "/healthz", headers=rebound) == 200

    async def test_allowed_hosts_bind_with_keys_too(self, start: Start) -> None:
        gateway = await start({**KEYS, "gateway": {"allowed_hosts": ["gate.studio"]}})
        assert await who(gateway, headers={**ANN, "Host": "gate.studio:8288"}) == 200
        assert await who(gateway, headers={**ANN, "Host": "other.studio"}) == 421


class TestOpen:
    async def test_everybody_is_local_and_an_admin(self, start: Start) -> None:
        gateway = await start({})
        await gateway.services.documents.change_settings("local", {"x": 1})
        assert (await gateway.json("/settings", {"comfy-user": "ann"}))["x"] == 1

    async def test_foreign_pages_are_refused(self, start: Start) -> None:
        gateway = await start({})
        for path in ("/settings", "/k/any/settings"):
            answer = await gateway.client.post(path, data=b"{}", headers=TestBrowsers.EVIL)
            assert answer.status == 403

    async def test_the_login_page_just_goes_on(self, start: Start) -> None:
        gateway = await start({})
        answer = await gateway.client.get("/login?next=/a", allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (302, "/a")


class TestCluster:
    async def test_agents_get_inputs_by_digest_with_the_token_only(self, gateway: Gateway) -> None:
        blob = await gateway.services.blobs.store_bytes(b"bytes of ann")
        path = f"/cluster/v1/inputs/{blob.sha256}"
        for headers in ({}, ANN, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
            assert (await gateway.client.get(path, headers=headers)).status == 401
        good = {"Authorization": f"Bearer {TOKEN}"}
        answer = await gateway.client.get(path, headers=good)
        assert await answer.read() == b"bytes of ann"
        part = await gateway.client.get(path, headers={**good, "Range": "bytes=0-4"})
        assert (part.status, await part.read()) == (206, b"bytes")
        missing = await gateway.client.get(f"/cluster/v1/inputs/{'0' * 64}", headers=good)
        assert missing.status == 404


async def test_further_apps_are_behind_the_same_door(start: Start) -> None:
    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=identity(request).user)

    extra = web.Application()
    extra.router.add_get("/", hello)
    gateway = await start(KEYS, extra={"/dashboard": extra})
    assert await who(gateway, "/dashboard/") == 401
    answer = await gateway.client.get("/dashboard/", headers=ANN)
    assert await answer.text() == "ann"
    behind = await gateway.client.get("/k/url-of-bob-01/dashboard/")
    assert await behind.text() == "bob"


@pytest.mark.parametrize("path", ["/dashboard/live", "/k/url-of-ann-01/dashboard/live"])
async def test_sockets_of_further_apps_end_with_the_key_and_with_the_role(
    start: Start, path: str
) -> None:
    async def live(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(identity(request).role)
        async for _ in socket:
            pass
        return socket

    extra = web.Application()
    extra.router.add_get("/live", live)
    gateway = await start(KEYS, extra={"/dashboard": extra})
    key = {"users.ann.key_hash": '""', "users.ann.url_key_hash": '""'}
    viewer = {"key_hash": hash_key("key-of-ann-01"), "url_key_hash": hash_key("url-of-ann-01")}
    role = {"users.ann": json.dumps({**viewer, "role": "viewer"})}
    for change in (key, role):
        headers = {} if path.startswith("/k/") else ANN
        socket = await gateway.client.ws_connect(path, headers=headers)
        assert await socket.receive_str(timeout=30) == "artist"
        await gateway.ledger.override(change)
        ended = await socket.receive(timeout=30)
        assert ended.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        await gateway.ledger.override(dict.fromkeys(change))
        assert gateway.client.app is not None
        await refresh_overrides(gateway.client.app)
        gateway.client.session.cookie_jar.clear()
