"""What pages and links of other sites try on a person who is logged in here."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import WSServerHandshakeError

from gateway.session import COOKIE
from tests.integration.gateway_info.conftest import ANN, VIC, Gateway

LINK = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"}
TYPED = {**LINK, "Sec-Fetch-Site": "none"}
CLICKED = {**LINK, "Sec-Fetch-Site": "same-origin"}


async def log_in(gateway: Gateway, name: str = "ann") -> dict[str, str]:
    data = {"key": f"key-of-{name}-01"}
    answer = await gateway.client.post("/login", data=data, allow_redirects=False)
    gateway.client.session.cookie_jar.clear()
    return {"Cookie": f"{COOKIE}={answer.cookies[COOKIE].value}"}


async def get(gateway: Gateway, path: str, **how: Any) -> Any:
    answer = await gateway.client.get(path, allow_redirects=False, **how)
    gateway.client.session.cookie_jar.clear()
    return answer


async def user_of(gateway: Gateway, cookie: str) -> str:
    for name in ("ann", "bob"):
        await gateway.services.documents.change_settings(name, {"who": name})
    answer = await get(gateway, "/settings", headers={"Cookie": f"{COOKIE}={cookie}"})
    return str((await answer.json())["who"])


class TestLogInAsSomebodyElse:
    @pytest.mark.parametrize("path", ["/k/url-of-bob-01/a?b=1", "/a?token=key-of-bob-01&b=1"])
    @pytest.mark.parametrize("logged_in", [True, False])
    async def test_another_sites_link_asks_first(
        self, gateway: Gateway, path: str, logged_in: bool
    ) -> None:
        cookie = await log_in(gateway) if logged_in else {}
        answer = await get(gateway, path, headers={**LINK, **cookie})
        assert answer.status == 200
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        page = await answer.text()
        assert "Go on as bob" in page
        (link,) = re.findall(r'href="([^"]+)"', page)
        assert link.replace("&amp;", "&") == path
        went_on = await get(gateway, path, headers={**CLICKED, **cookie})
        assert (went_on.status, went_on.headers["Location"]) == (302, "/a?b=1")
        assert await user_of(gateway, went_on.cookies[COOKIE].value) == "bob"

    async def test_a_link_to_oneself_and_a_typed_one_just_work(self, gateway: Gateway) -> None:
        cookie = await log_in(gateway)
        for headers in ({**LINK, **cookie}, TYPED, {"Accept": "text/html"}):
            answer = await get(gateway, "/k/url-of-ann-01/", headers=headers)
            assert (answer.status, answer.headers["Location"]) == (302, "/")

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
            {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
        ],
    )
    async def test_a_picture_or_script_of_another_page_gets_no_cookie(
        self, gateway: Gateway, headers: dict[str, str]
    ) -> None:
        answer = await get(gateway, "/k/url-of-bob-01/settings", headers=headers)
        assert answer.status == 200
        assert "Set-Cookie" not in answer.headers

    async def test_the_login_form_takes_nothing_from_other_pages(self, gateway: Gateway) -> None:
        data = {"key": "key-of-bob-01"}
        for origin in ("http://evil.example", "null", "file://"):
            answer = await gateway.client.post("/login", data=data, headers={"Origin": origin})
            assert answer.status == 403

    async def test_a_planted_second_session_is_nobodys(self, gateway: Gateway) -> None:
        mine, planted = await log_in(gateway), await log_in(gateway, "bob")
        for both in (
            f"{mine['Cookie']}; {planted['Cookie']}",
            f"{planted['Cookie']}; {mine['Cookie']}",
        ):
            assert (await get(gateway, "/settings", headers={"Cookie": both})).status == 401
        rubbish = f"{COOKIE}=a.b.c.d; {mine['Cookie']}; {mine['Cookie']}"
        assert (await get(gateway, "/settings", headers={"Cookie": rubbish})).status == 200

    async def test_a_session_cannot_be_chosen_beforehand(self, gateway: Gateway) -> None:
        before = {"Cookie": f"{COOKIE}=chosen-by-the-attacker"}
        answer = await gateway.client.post(
            "/login", data={"key": "key-of-ann-01"}, headers=before, allow_redirects=False
        )
        assert answer.cookies[COOKIE].value != "chosen-by-the-attacker"
        gateway.client.session.cookie_jar.clear()
        assert (await get(gateway, "/settings", headers=before)).status == 401


class TestCookieForPrograms:
    async def test_a_program_with_a_jar_may_drop_the_prefix_after_its_first_request(
        self, gateway: Gateway
    ) -> None:
        answer = await gateway.client.get("/k/url-of-ann-01/settings")
        cookie = answer.cookies[COOKIE]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"
        async with gateway.client.ws_connect("/ws?clientId=c") as socket:
            assert (await socket.receive_json(timeout=30))["data"]["sid"] == "c"
        again = await gateway.client.get("/k/url-of-ann-01/settings")
        assert "Set-Cookie" not in again.headers

    async def test_streamed_answers_and_posts_carry_it_too(self, gateway: Gateway) -> None:
        subfolder, name = await gateway.output("ann", b"picture")
        path = f"/k/url-of-ann-01/view?subfolder={subfolder}&filename={name}"
        assert COOKIE in (await get(gateway, path)).cookies
        answer = await gateway.client.post("/k/url-of-ann-01/settings", data=b"{}")
        assert COOKIE in answer.cookies

    async def test_a_key_in_a_header_gets_none(self, gateway: Gateway) -> None:
        assert "Set-Cookie" not in (await get(gateway, "/settings", headers=ANN)).headers


class TestForeignPages:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://evil.example"},
            {"Origin": "https://127.0.0.1.evil.example"},
            {"Origin": "null"},
            {"Origin": "file://"},
            {"Origin": ""},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"},
            {"Origin": "http://evil.example", "Content-Type": "text/plain"},
            {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-site"},
        ],
    )
    async def test_change_nothing_and_hear_nothing(
        self, gateway: Gateway, headers: dict[str, str]
    ) -> None:
        cookie = await log_in(gateway)
        for method, path in (
            ("POST", "/settings"),
            ("POST", "/api/prompt"),
            ("POST", "/interrupt"),
            ("POST", "/upload/image"),
            ("DELETE", "/userdata/a"),
            ("POST", "/logout"),
        ):
            answer = await gateway.client.request(method, path, headers={**cookie, **headers})
            assert answer.status == 403, (method, path)
        if "Content-Type" not in headers:
            with pytest.raises(WSServerHandshakeError) as refused:
                await gateway.client.ws_connect("/ws?clientId=c", headers={**cookie, **headers})
            assert refused.value.status == 403

    async def test_load_nothing_into_themselves(self, gateway: Gateway) -> None:
        cookie = await log_in(gateway)
        for mode in ("no-cors", "cors"):
            site = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode}
            assert (await get(gateway, "/settings", headers={**cookie, **site})).status == 403

    async def test_get_no_permission_from_a_preflight(self, gateway: Gateway) -> None:
        answer = await gateway.client.options(
            "/prompt",
            headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"},
        )
        assert not [name for name in answer.headers if name.startswith("Access-Control-")]

    async def test_frame_no_page_of_ours(self, gateway: Gateway) -> None:
        for path in ("/", "/login", "/settings", "/view", "/k/wrong-key-1/"):
            answer = await get(gateway, path)
            policy = answer.headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in policy or "frame-ancestors 'self'" in policy


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/%09/evil.example",
        "javascript:alert(1)",
        "/%2e%2e//evil.example",
        " //evil.example",
        "http:evil.example",
        "/\r\nLocation: http://evil.example",
    ],
)
async def test_a_login_never_leads_away(gateway: Gateway, target: str) -> None:
    answer = await gateway.client.post(
        "/login", data={"key": "key-of-ann-01", "next": target}, allow_redirects=False
    )
    location = answer.headers["Location"]
    assert urlsplit(location).netloc == ""
    assert re.match(r"/(?![/\\])", location) or location == "/"
    assert not re.search(r"[\x00-\x20\\]", location[:2])


async def test_a_key_in_an_address_is_in_no_referer_and_no_page(gateway: Gateway) -> None:
    for path in ("/k/url-of-ann-01/a", "/a?token=key-of-ann-01"):
        answer = await get(gateway, path, headers=TYPED)
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "-of-ann-01" not in answer.headers["Location"] + await answer.text()
    wrong = await get(gateway, "/k/wrong-key-123/a", headers=TYPED)
    assert wrong.headers["Referrer-Policy"] == "no-referrer"
    assert "wrong-key-123" not in await wrong.text()


async def test_keys_and_what_proxies_say_are_in_no_log(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = ["url-of-ann-01", "key-of-ann-01", "wrong-key-123", "said-by-nobody"]
    await get(gateway, "/k/url-of-ann-01/settings", headers={"X-Forwarded-User": "said-by-nobody"})
    await get(gateway, "/settings?token=key-of-ann-01")
    for _ in range(12):
        await get(gateway, "/k/wrong-key-123/settings")
        await get(gateway, "/settings", headers={"Authorization": "Bearer wrong-key-123"})
    await log_in(gateway)
    written = "".join(capsys.readouterr())
    assert "too_many_wrong_keys" in written
    assert not [secret for secret in secrets if secret in written]


async def test_a_viewer_looks_and_keeps_settings_of_its_own(gateway: Gateway) -> None:
    async def status(method: str, path: str, **how: Any) -> int:
        answer = await gateway.client.request(method, path, headers=VIC, **how)
        return answer.status

    assert await status("GET", "/queue") == 200
    assert await status("POST", "/settings", json={"a": 1}) == 200
    assert await status("POST", "/userdata/workflows%2Fa.json", data=b"{}") == 200
    for path in ("/prompt", "/queue", "/interrupt", "/history", "/free", "/upload/image"):
        assert await status("POST", path, json={"prompt": {}, "clear": True}) == 403, path
    assert await status("POST", "/api/queue", json={"clear": True}) == 403
