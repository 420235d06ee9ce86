"""A page of another origin, in a real browser whose person is logged in here.

Two such pages: on another port of the same host, to which a ``SameSite=Lax`` cookie does
travel, and on another host name, which is another site.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from gateway.personal_ports import PersonalPorts
from tests.browser.conftest import chromium
from tests.integration.gateway_info.conftest import (
    KEYS,
    Gateway,
    Start,
    agent,  # noqa: F401  (a fixture)
    start,  # noqa: F401  (a fixture)
)
from tests.integration.gateway_info.test_places import free_port, user

BAIT = "<!doctype html><title>bait</title><body>nothing to see"
#: everything that a page can send by itself; each resolves to what the page learned
ATTACKS = {
    "fetch": """gate => fetch(gate + '/settings', {method: 'POST', mode: 'no-cors',
        credentials: 'include', body: '{"hacked": "fetch"}'}).then(a => a.type, () => 'failed')""",
    "json": """gate => fetch(gate + '/settings', {method: 'POST', credentials: 'include',
        headers: {'Content-Type': 'application/json'}, body: '{"hacked": "json"}'})
        .then(a => a.status, () => 'failed')""",
    "read": """gate => fetch(gate + '/settings', {credentials: 'include'})
        .then(a => a.text(), () => 'failed')""",
    "beacon": """gate => navigator.sendBeacon(gate + '/settings', '{"hacked": "beacon"}')""",
    "form": """gate => new Promise(done => {
        const frame = document.createElement('iframe');
        frame.name = 'target'; frame.onload = () => done('loaded');
        document.body.append(frame);
        const form = document.createElement('form');
        form.method = 'post'; form.enctype = 'text/plain'; form.target = 'target';
        form.action = gate + '/settings';
        const input = document.createElement('input');
        input.name = '{"hacked": "form", "x": "'; input.value = '"}';
        form.append(input); document.body.append(form); form.submit();
        setTimeout(() => done('late'), 3000)})""",
    "image": """gate => new Promise(done => {
        const image = new Image();
        image.onload = () => done('loaded'); image.onerror = () => done('failed');
        image.src = gate + '/logout'})""",
    "script": """gate => new Promise(done => {
        const script = document.createElement('script');
        script.onload = () => done('loaded'); script.onerror = () => done('failed');
        script.src = gate + '/settings'; document.body.append(script)})""",
    "socket": """gate => new Promise(done => {
        const socket = new WebSocket(gate.replace('http', 'ws') + '/ws?clientId=stolen');
        socket.onmessage = message => done(message.data); socket.onerror = () => done('failed')})""",
    "frame": """gate => new Promise(done => {
        const frame = document.createElement('iframe');
        frame.onload = () => { let inside = 'opaque';
            try { inside = frame.contentDocument?.title ?? 'opaque' } catch { inside = 'opaque' }
            done(inside) };
        frame.src = gate + '/login'; document.body.append(frame)})""",
}


@dataclass
class Site:
    """A page that somebody else serves, and the addresses that came to it."""

    port: int = 0
    referers: list[str] = field(default_factory=list)

    async def page(self, request: web.Request) -> web.Response:
        if request.path == "/":  # not the browser's own look for an icon
            self.referers.append(request.headers.get("Referer", ""))
        return web.Response(text=BAIT, content_type="text/html")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    found = Site()
    app = web.Application()
    app.router.add_get("/{path:.*}", found.page)
    async with TestServer(app, host="127.0.0.1") as server:
        assert server.port is not None
        found.port = server.port
        yield found


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Every ``*.example`` is this machine: whoever owns a name may bind it to any address."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(),
            args=[
                "--no-sandbox",
                "--disable-background-networking",
                "--no-first-run",
                "--host-resolver-rules=MAP *.example 127.0.0.1",
            ],
        )
        yield browser
        await browser.close()


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context()
    yield context
    await context.close()


@pytest.fixture
async def gateway(start: Start) -> Gateway:  # noqa: F811
    gateway = await start(KEYS)
    await gateway.services.documents.change_settings("ann", {"mine": "secret of ann"})
    return gateway


def url_of(gateway: Gateway) -> str:
    return str(gateway.client.make_url("/")).rstrip("/")


async def log_in(context: BrowserContext, gateway: Gateway) -> Page:
    """As a person does, without JavaScript being needed."""
    page = await context.new_page()
    await page.goto(url_of(gateway) + "/settings")
    assert "/login" in page.url
    await page.fill("#key", "key-of-ann-01")
    await page.click("button")
    assert "secret of ann" in await page.content()
    return page


async def is_logged_in(page: Page, gateway: Gateway) -> bool:
    await page.goto(url_of(gateway) + "/settings")
    return "secret of ann" in await page.content()


@pytest.mark.parametrize("host", ["127.0.0.1", "evil.example"], ids=["same site", "other site"])
async def test_a_foreign_page_changes_reads_hears_and_frames_nothing(
    context: BrowserContext, gateway: Gateway, site: Site, host: str
) -> None:
    own = await log_in(context, gateway)
    bait = await context.new_page()
    await bait.goto(f"http://{host}:{site.port}/")
    learned = {}
    for name, script in ATTACKS.items():
        learned[name] = await bait.evaluate(script, url_of(gateway))
    assert "secret" not in json.dumps(learned), learned
    assert learned["socket"] == learned["json"] == learned["read"] == "failed"
    assert learned["frame"] == "opaque"
    frames = [frame.url for frame in bait.frames if "/login" in frame.url]
    assert frames == [], "the frame shows an error in place of the page"
    assert await gateway.services.documents.settings("ann") == {"mine": "secret of ann"}
    assert await gateway.services.documents.settings("local") == {}
    assert await is_logged_in(own, gateway)


async def test_a_page_from_a_file_opens_no_socket_on_the_cookie(
    context: BrowserContext, gateway: Gateway, tmp_path: Any
) -> None:
    await log_in(context, gateway)
    (tmp_path / "bait.html").write_text(BAIT)
    bait = await context.new_page()
    await bait.goto(f"file://{tmp_path}/bait.html")
    for name in ("socket", "read", "json"):
        assert await bait.evaluate(ATTACKS[name], url_of(gateway)) == "failed"


async def test_a_link_logs_nobody_in_as_somebody_else(
    context: BrowserContext, gateway: Gateway, site: Site
) -> None:
    await gateway.services.documents.change_settings("bob", {"mine": "of bob"})
    own = await log_in(context, gateway)
    bait = await context.new_page()
    await bait.goto(f"http://evil.example:{site.port}/")
    await bait.evaluate(
        "where => { location.href = where }", f"{url_of(gateway)}/k/url-of-bob-01/settings"
    )
    await bait.wait_for_selector("text=Go on as bob")
    assert await is_logged_in(own, gateway)
    await bait.click("a")
    assert bait.url == f"{url_of(gateway)}/settings"
    assert "of bob" in await bait.content()


async def test_a_key_in_an_address_goes_nowhere(
    context: BrowserContext, gateway: Gateway, site: Site
) -> None:
    evil = f"http://evil.example:{site.port}/"
    for path in ("/k/url-of-ann-01/settings", "/settings?token=key-of-ann-01"):
        page = await context.new_page()
        await page.goto(url_of(gateway) + path)
        assert page.url == f"{url_of(gateway)}/settings"
        assert "secret of ann" in await page.content()
        await page.evaluate(
            """where => { const link = document.createElement('a'); link.href = where;
                document.body.append(link); link.click() }""",
            evil,
        )
        await page.wait_for_url(evil)
        await page.go_back()
        assert "-of-ann-01" not in page.url
        await context.clear_cookies()
    assert site.referers
    assert set(site.referers) == {""}
    cookies = await context.cookies()
    assert all(cookie["httpOnly"] for cookie in cookies)


async def test_a_name_bound_to_this_machine_finds_no_user_on_a_personal_port(
    context: BrowserContext,
    start: Start,  # noqa: F811
) -> None:
    port = free_port()
    gateway = await start({"auth": {"mode": "keys"}, "users": [user("pat", port=port)]})
    await gateway.services.documents.change_settings("pat", {"mine": "secret of pat"})
    runner = gateway.client.server.runner
    assert isinstance(runner, web.AppRunner)
    await PersonalPorts(runner, gateway.services.settings).look()
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{port}/settings")
    assert "secret of pat" in await page.content()
    answer = await page.goto(f"http://rebound.example:{port}/settings")
    assert answer is not None
    assert answer.status == 421
    read = "() => fetch('/settings').then(a => a.text())"
    assert "secret" not in await page.evaluate(read)


async def test_logging_out_needs_no_script_and_no_foreign_page_does_it(
    browser: Browser, gateway: Gateway, site: Site
) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await log_in(context, gateway)
    bait = await context.new_page()
    await bait.goto(f"http://evil.example:{site.port}/")
    await bait.set_content(f'<a href="{url_of(gateway)}/logout">free pictures</a>')
    await bait.click("a")
    assert await is_logged_in(page, gateway)
    await page.goto(url_of(gateway) + "/logout")
    assert "/login" in page.url
    assert not await is_logged_in(page, gateway)
    await context.close()
