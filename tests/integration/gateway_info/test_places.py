"""Users known by port, by network, or by a trusted proxy's word."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import WSServerHandshakeError, web

from config.settings import Settings
from gateway.door import refresh_overrides
from gateway.personal_ports import PersonalPorts
from gateway.session import COOKIE
from tests.integration.gateway_info.conftest import ANN, BOB, Gateway, Start

PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
PROXY = {"gateway": {"trusted_proxies": ["127.0.0.1"]}}
SSO = {"auth": {"mode": "keys", "proxy_header": "X-Forwarded-User"}, **PROXY}


def user(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "key": f"key-of-{name}-01", "url_key": f"url-of-{name}-01", **more}


def config(*users: dict[str, Any], **sections: Any) -> dict[str, Any]:
    people = [user("ann"), user("bob"), *users]
    return {"auth": {"mode": "keys"}, "users": people, **sections}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def asked(gateway: Gateway, **headers: str) -> str | int:
    """The user that the gateway takes a request for, or the status of its refusal."""
    return await asked_at(str(gateway.client.make_url("/")).rstrip("/"), gateway, **headers)


async def asked_at(url: str, gateway: Gateway, **headers: str) -> str | int:
    for name in ("ann", "bob", "pat", "net", "zoe@studio.example", "vic"):
        await gateway.services.documents.change_settings(name, {"who": name})
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
        http.get(url + "/settings", headers=names, allow_redirects=False) as answer,
    ):
        if answer.status != 200:
            return answer.status
        return str((await answer.json()).get("who", "somebody new"))


class Ports:
    def __init__(self, gateway: Gateway) -> None:
        runner = gateway.client.server.runner
        assert isinstance(runner, web.AppRunner)
        self.gateway = gateway
        self.sites = PersonalPorts(runner, gateway.services.settings)

    async def put(self, settings: dict[str, Any]) -> None:
        self.gateway.config[0] = Settings.model_validate(settings)
        await self.sites.look()

    async def asked(self, port: int, **headers: str) -> str | int:
        return await asked_at(f"http://127.0.0.1:{port}", self.gateway, **headers)


@asynccontextmanager
async def listening(start: Start, settings: dict[str, Any]) -> AsyncIterator[Ports]:
    ports = Ports(await start(settings))
    await ports.sites.look()
    yield ports


class TestPersonalPort:
    async def test_whatever_arrives_there_is_its_user(self, start: Start) -> None:
        port = free_port()
        async with listening(start, config(user("pat", port=port))) as ports:
            assert await ports.asked(port) == "pat"
            assert await asked(ports.gateway) == 401
            async with (
                aiohttp.ClientSession() as http,
                http.ws_connect(f"http://127.0.0.1:{port}/ws?clientId=c") as tab,
            ):
                assert (await tab.receive_json(timeout=30))["data"]["sid"] == "c"

    async def test_a_shown_key_outranks_it_and_a_wrong_one_is_refused(self, start: Start) -> None:
        port = free_port()
        async with listening(start, config(user("pat", port=port))) as ports:
            assert await ports.asked(port, **BOB) == "bob"
            assert await ports.asked(port, X_API_Key="wrong-key-1") == 401
            assert await ports.asked(port, Cookie=f"{COOKIE}=a.b.c.d") == "pat"

    async def test_it_opens_moves_and_closes_with_the_config(self, start: Start) -> None:
        one, two = free_port(), free_port()
        async with listening(start, config()) as ports:
            await ports.put(config(user("pat", port=one)))
            assert await ports.asked(one) == "pat"
            await ports.put(config(user("pat", port=two)))
            assert await ports.asked(two) == "pat"
            with pytest.raises(aiohttp.ClientConnectorError):
                await ports.asked(one)
            await ports.put(config(user("pat")))
            with pytest.raises(aiohttp.ClientConnectorError):
                await ports.asked(two)

    async def test_a_port_that_is_taken_is_opened_when_it_is_free(self, start: Start) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            ports = Ports(await start(config(user("pat", port=port))))
            await ports.sites.look()
            await ports.sites.look()
        await ports.sites.look()
        assert await ports.asked(port) == "pat"

    async def test_two_gateways_of_one_host_open_it_both(self, start: Start) -> None:
        port = free_port()
        settings = config(user("pat", port=port))
        async with listening(start, settings) as one, listening(start, settings) as two:
            await two.gateway.services.documents.change_settings("pat", {"who": "pat"})
            assert {await one.asked(port) for _ in range(8)} == {"pat"}

    async def test_a_foreign_page_changes_reads_and_hears_nothing_there(self, start: Start) -> None:
        port = free_port()
        evil = {"Origin": "http://evil.example"}
        loads = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        async with (
            listening(start, config(user("pat", port=port))),
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
        ):
            assert (await http.post("/settings", data=b"{}", headers=evil)).status == 403
            assert (await http.get("/settings", headers=loads)).status == 403
            assert (await http.get("/", headers=PAGE)).status != 403, "a link may be opened"
            with pytest.raises(WSServerHandshakeError) as refused:
                await http.ws_connect("/ws", headers=evil)
            assert refused.value.status == 403

    async def test_a_name_that_was_bound_to_our_address_is_refused(self, start: Start) -> None:
        port = free_port()
        settings = config(user("pat", port=port))
        async with listening(start, settings) as ports:
            assert await ports.asked(port, Host=f"rebound.example:{port}") == 421
            assert await ports.asked(port, Host=f"192.168.7.7:{port}") == "pat"
            assert await ports.asked(port, Host=f"localhost:{port}") == "pat"
            await ports.put({**settings, "gateway": {"allowed_hosts": ["box"]}})
            assert await ports.asked(port, Host=f"box:{port}") == "pat"

    async def test_a_revoked_user_is_nobody_there_and_its_socket_closes(self, start: Start) -> None:
        port = free_port()
        async with (
            listening(start, config(user("pat", port=port))) as ports,
            aiohttp.ClientSession() as http,
            http.ws_connect(f"http://127.0.0.1:{port}/ws") as tab,
        ):
            await tab.receive_json(timeout=30)
            gateway = ports.gateway
            await gateway.ledger.override({"users.pat.revoked": "true"})
            assert gateway.client.app is not None
            await refresh_overrides(gateway.client.app)
            assert (await tab.receive(timeout=30)).type is aiohttp.WSMsgType.CLOSE
            await ports.sites.look()
            with pytest.raises(aiohttp.ClientConnectorError):
                await ports.asked(port)


class TestNetwork:
    @pytest.mark.parametrize("network", ["127.0.0.1", "127.0.0.0/8", "::/0, 127.0.0.1"])
    async def test_its_machines_are_its_user(self, start: Start, network: str) -> None:
        networks = [one.strip() for one in network.split(",")]
        gateway = await start(config(user("net", networks=networks)))
        assert await asked(gateway) == "net"
        assert await asked(gateway, **ANN) == "ann"
        assert await asked(gateway, Authorization="Bearer wrong") == 401
        assert await asked(gateway, Host="rebound.example") == 421
        socket = await gateway.client.ws_connect("/ws?clientId=c")
        assert (await socket.receive_json(timeout=30))["type"] == "status"

    async def test_other_machines_are_nobody(self, start: Start) -> None:
        gateway = await start(config(user("net", networks=["10.0.0.0/8", "::1"])))
        assert await asked(gateway) == 401

    async def test_what_a_client_says_of_its_address_is_not_believed(self, start: Start) -> None:
        gateway = await start(config(user("net", networks=["10.0.0.0/8"])))
        for name in ("X_Forwarded_For", "X_Real_IP", "Forwarded"):
            assert await asked(gateway, **{name: "10.0.0.1"}) == 401

    async def test_a_trusted_proxy_is_believed(self, start: Start) -> None:
        settings = config(user("net", networks=["10.0.0.0/8"]), **PROXY)
        gateway = await start(settings)
        assert await asked(gateway, X_Forwarded_For="10.0.0.1") == "net"
        assert await asked(gateway, X_Forwarded_For="10.0.0.1, 127.0.0.1") == "net"
        assert await asked(gateway, X_Forwarded_For="10.0.0.1, 192.0.2.1") == 401
        assert await asked(gateway, X_Forwarded_For="10.0.0.1, rubbish") == 401
        assert await asked(gateway) == 401

    async def test_a_proxy_that_names_no_client_gives_nobody_its_own_network(
        self, start: Start
    ) -> None:
        gateway = await start(config(user("net", networks=["127.0.0.0/8"]), **PROXY))
        assert await asked(gateway) == 401
        assert await asked(gateway, X_Forwarded_For="127.0.0.1") == 401

    async def test_an_address_of_two_users_is_nobodys(self, start: Start) -> None:
        gateway = await start(config(user("net", networks=["127.0.0.1"])))
        pat = {"key_hash": None, "networks": ["127.0.0.0/8"]}
        await gateway.ledger.override({"users.pat": json.dumps(pat)})
        assert gateway.client.app is not None
        await refresh_overrides(gateway.client.app)
        assert await asked(gateway) == 401


class TestProxyHeader:
    async def test_the_named_user_comes_in(self, start: Start) -> None:
        gateway = await start(config(**SSO))
        assert await asked(gateway, X_Forwarded_User="ann") == "ann"
        assert await asked(gateway) == 401
        assert await asked(gateway, X_Forwarded_User="") == 401

    async def test_a_header_from_anybody_else_is_ignored(self, start: Start) -> None:
        elsewhere = {**SSO, "gateway": {"trusted_proxies": ["10.0.0.1"]}}
        gateway = await start(config(**elsewhere))
        assert await asked(gateway, X_Forwarded_User="ann") == 401
        assert await asked(gateway, X_Forwarded_User="ann", **BOB) == "bob"

    async def test_a_shown_key_outranks_it_and_it_outranks_a_cookie(self, start: Start) -> None:
        gateway = await start(config(**SSO))
        assert await asked(gateway, X_Forwarded_User="ann", **BOB) == "bob"
        answer = await gateway.client.post(
            "/login", data={"key": "key-of-bob-01"}, allow_redirects=False
        )
        cookie = f"{COOKIE}={answer.cookies[COOKIE].value}"
        assert await asked(gateway, X_Forwarded_User="ann", Cookie=cookie) == "ann"

    @pytest.mark.parametrize("name", ["eve", "../ann", "ann, bob", "a b"])
    async def test_who_is_not_known_here_is_told_so(self, start: Start, name: str) -> None:
        gateway = await start(config(**SSO))
        answer = await gateway.client.get("/settings", headers={"X-Forwarded-User": name})
        assert answer.status == 403
        body = await answer.json()
        assert "ask your admin" in body["error"]["message"]
        assert name not in json.dumps(body)

    async def test_new_ones_come_in_as_artists_where_the_admin_says_so(self, start: Start) -> None:
        sso = {**SSO, "auth": {**SSO["auth"], "proxy_create": True}}
        gateway = await start(config(user("vic", role="viewer"), **sso))
        assert await asked(gateway, X_Forwarded_User="zoe@studio.example") == "zoe@studio.example"
        assert await asked(gateway, X_Forwarded_User="../zoe") == 403
        upload = await gateway.client.post(
            "/upload/image", data={"image": "x"}, headers={"X-Forwarded-User": "vic"}
        )
        assert upload.status == 403, "a known one keeps its role"

    async def test_a_revoked_user_does_not_come_back_as_a_new_one(self, start: Start) -> None:
        sso = {**SSO, "auth": {**SSO["auth"], "proxy_create": True}}
        gateway = await start(config(**sso))
        socket = await gateway.client.ws_connect("/ws", headers={"X-Forwarded-User": "ann"})
        await socket.receive_json(timeout=30)
        await gateway.ledger.override({"users.ann.revoked": "true"})
        assert gateway.client.app is not None
        await refresh_overrides(gateway.client.app)
        assert await asked(gateway, X_Forwarded_User="ann") == 403
        assert (await socket.receive(timeout=30)).type is aiohttp.WSMsgType.CLOSE

    async def test_two_headers_are_a_trick(self, start: Start) -> None:
        gateway = await start(config(**SSO))
        headers = [("X-Forwarded-User", "ann"), ("X-Forwarded-User", "bob")]
        assert (await gateway.client.get("/settings", headers=headers)).status == 403

    async def test_foreign_pages_are_refused_as_with_a_cookie(self, start: Start) -> None:
        gateway = await start(config(**SSO))
        evil = {"X-Forwarded-User": "ann", "Origin": "http://evil.example"}
        assert (await gateway.client.post("/settings", data=b"{}", headers=evil)).status == 403


class TestBehindAProxy:
    async def test_wrong_keys_count_for_the_client_and_not_for_the_proxy(
        self, start: Start
    ) -> None:
        gateway = await start(config(**PROXY))
        for number in range(10):
            await asked(gateway, X_API_Key=f"wrong-key-{number}", X_Forwarded_For="192.0.2.1")
        assert await asked(gateway, X_Forwarded_For="192.0.2.1", **ANN) == 429
        assert await asked(gateway, X_Forwarded_For="192.0.2.2", **ANN) == "ann"

    async def test_tls_at_the_proxy_makes_the_cookie_one_that_nobody_else_can_plant(
        self, start: Start
    ) -> None:
        gateway = await start(config(**PROXY))
        tls = {"X-Forwarded-Proto": "https"}
        answer = await gateway.client.post(
            "/login", data={"key": "key-of-ann-01"}, headers=tls, allow_redirects=False
        )
        cookie = answer.cookies[f"__Host-{COOKIE}"]
        assert cookie["secure"]
        assert cookie["path"] == "/"
        assert not cookie["domain"]
        secure = f"__Host-{COOKIE}={cookie.value}"
        assert await asked(gateway, X_Forwarded_Proto="https", Cookie=secure) == "ann"
        planted = f"{COOKIE}={cookie.value}"
        assert await asked(gateway, X_Forwarded_Proto="https", Cookie=planted) == 401
        gone = await gateway.client.post("/logout", headers=tls, allow_redirects=False)
        assert gone.cookies[f"__Host-{COOKIE}"].value == ""

    async def test_its_host_is_the_one_that_browsers_name(self, start: Start) -> None:
        sections = {"gateway": {"trusted_proxies": ["127.0.0.1"], "allowed_hosts": ["gate.studio"]}}
        gateway = await start(config(**sections))
        assert await asked(gateway, X_Forwarded_Host="gate.studio", **ANN) == "ann"
        assert await asked(gateway, X_Forwarded_Host="evil.example", **ANN) == 421
        assert await asked(gateway, X_Forwarded_Host="gate.studio, evil.example", **ANN) == 421

    async def test_what_others_forward_is_not_believed(self, start: Start) -> None:
        gateway = await start(config(gateway={"allowed_hosts": ["gate.studio"]}))
        assert await asked(gateway, Host="evil.example", X_Forwarded_Host="gate.studio") == 421
        answer = await gateway.client.post(
            "/login",
            data={"key": "key-of-ann-01"},
            headers={"X-Forwarded-Proto": "https"},
            allow_redirects=False,
        )
        assert not answer.cookies[COOKIE]["secure"]


NASTY = [
    b"Authorization: Basic \xff\xfe",
    b"Authorization: Basic " + b"A" * 4000,
    b"Authorization: Basic Og==",
    b"Authorization: Basic /////w==",
    b"Authorization: Bearer \xe2\x82\xac",
    b"Authorization:",
    b"Authorization: Bearer",
    b"X-API-Key: \xff",
    b"Cookie: vramgate_session=\xff.a.1.b",
    b"Cookie: vramgate_session=; vramgate_session==; =x;;;",
    b'Cookie: vramgate_session="a.a.1.b"',
    b"Cookie: vramgate_session=YW5u.a.99999999999999999999.b",
    b"X-Forwarded-For: " + b",".join([b"1"] * 900),
    b"X-Forwarded-For: [::1",
    b"X-Forwarded-For: ]:80, [",
    b"X-Forwarded-For: \xff",
    b"X-Forwarded-Host: [",
    b"X-Forwarded-Host: \xff",
    b"X-Forwarded-Proto: \xff",
    b"X-Forwarded-User: \xff\xfe",
    b"X-Forwarded-User: " + b"a" * 4000,
    b"X-Forwarded-User: \xc3\xa4nn",
    b"Origin: http://[",
    b"Origin: \xff",
    b"Origin: http://a:99999999",
    b"Sec-Fetch-Site: \xff",
    b"Referer: \xff",
    b"Upgrade: websocket",
    b"Upgrade: \xff",
    b"Expect: 100-continue\r\nX-Other: \xff",
]


@pytest.mark.parametrize(
    "path",
    [
        b"/settings",
        b"/ws?clientId=a-random-looking-id-1",
        b"/k/%ff/x",
        b"/k/url-of-ann-01/settings",
        b"/login?next=%ff",
        b"/settings?token=%ff",
        b"/logout",
    ],
)
async def test_no_header_makes_the_door_fall_over(start: Start, path: bytes) -> None:
    gateway = await start(config(user("net", networks=["10.0.0.0/8"]), **SSO))
    url = gateway.client.make_url("/")
    for line in NASTY:
        reader, writer = await asyncio.open_connection(url.host, url.port)
        head = [b"GET " + path + b" HTTP/1.1", b"Host: 127.0.0.1", b"Connection: close", line]
        writer.write(b"\r\n".join([*head, b"", b""]))
        answer = await reader.read()
        writer.close()
        assert int(answer.split(b" ")[1]) < 500, (line, answer[:500])
