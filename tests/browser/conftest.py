"""A real Chromium with ComfyUI's own frontends, each pointed at a whole stack.

One browser for all tests; one stack and one tab of ann's per frontend, shared because a page
takes seconds to load. Tests that reload or log out take users and tabs of their own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright

from tests.browser.frontend import Frontend
from tests.browser.frontends import root_of
from tests.browser.versions import FRONTENDS
from tests.endtoend.conftest import ANN, BOB, KEYS
from tests.endtoend.stack import Stack

#: people for tests of their own
CLEO, DORA, EVE = "key-of-cleo-0001", "key-of-dora-0001", "key-of-eve-00001"
_MORE = "".join(
    f"  - {{name: {name}, key: {key}}}\n"
    for name, key in (("cleo", CLEO), ("dora", DORA), ("eve", EVE))
)

__all__ = ["ANN", "BOB", "CLEO", "DORA", "EVE", "Opener"]

Opener = Callable[[], Awaitable[Frontend]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/browser/" in str(item.path):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(480))
            if {"tab", "new_tab"} & {*getattr(item, "fixturenames", ())}:
                # browser and tabs live as long as the session, and so must their loop
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session", params=FRONTENDS)
def version(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="session")
def stack(version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One simulated GPU, two workers, slow enough to watch and to cancel."""
    config, root = KEYS + _MORE, root_of(version)
    if root is not None:
        config += f"gateway: {{frontend_root: {root}}}\n"
    running = Stack(
        tmp_path_factory.mktemp("stack"),
        *("--simulate", "gpus=1,vram=24GiB,workers=2,speed=4"),
        config=config,
    )
    try:
        running.start()
        yield running
    finally:
        running.stop()


def chromium() -> str:
    """Debian's browser; the suite never downloads one."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "no chromium: apt-get install chromium, or set CHROMIUM to its path"
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(),
            args=[
                "--no-sandbox",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-quic",
                "--no-first-run",
                # nothing but this machine; routing requests instead would turn off the cache
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        )
        yield browser
        await browser.close()


async def _context(browser: Browser) -> BrowserContext:
    return await browser.new_context(viewport={"width": 1280, "height": 800})


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def anns_tab(browser: Browser, stack: Stack, version: str) -> AsyncIterator[Frontend]:
    context = await _context(browser)
    tab = FRONTENDS[version](await context.new_page(), stack.url)
    await tab.log_in(ANN)
    yield tab
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def tab(anns_tab: Frontend) -> AsyncIterator[Frontend]:
    """Ann's tab with an empty canvas; after the test nothing unexpected may have happened."""
    await anns_tab.rest()
    yield anns_tab
    assert anns_tab.problems.unexpected() == []


@pytest_asyncio.fixture(loop_scope="session")
async def new_tab(browser: Browser, stack: Stack, version: str) -> AsyncIterator[Opener]:
    """An empty tab in a browser context of its own: nobody has logged in yet."""
    contexts: list[BrowserContext] = []
    tabs: list[Frontend] = []

    async def opener() -> Frontend:
        contexts.append(await _context(browser))
        tabs.append(FRONTENDS[version](await contexts[-1].new_page(), stack.url))
        return tabs[-1]

    yield opener
    unexpected = [tab.problems.unexpected() for tab in tabs]
    for context in contexts:
        await context.close()
    assert unexpected == [[] for _ in tabs]
