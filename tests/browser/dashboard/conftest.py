"""The dashboard in Chromium, over the simulated day and a pool that works (``tests.studio``).

A test takes ``open_page``: it logs somebody in, opens a page, and has the studio's clock in the
browser, too. What a page must never do is checked at the end of each test: errors in the console,
answers of 400 and above that the test has not announced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from dashboard import build_ui
from simulator.day.play import Days
from tests.browser.problems import Problems
from tests.day import UNTIL_MS
from tests.day import day_file as day_file
from tests.studio import Studio, key_of, open_studio, work

_AXE: Final = build_ui.UI / "node_modules" / "axe-core" / "axe.min.js"
#: two busy cores draw a page of charts in seconds; what never comes still fails
expect.set_options(timeout=60_000)
#: what people cannot work around; lesser findings are looked at by hand
_SERIOUS: Final = ("serious", "critical")


@dataclass
class Opened:
    """One page of the dashboard, and what went wrong on it."""

    page: Page
    problems: Problems

    async def findings(self) -> list[str]:
        """What axe finds serious."""
        await self.page.evaluate(_axe())
        found: Any = await self.page.evaluate("axe.run(document)")
        return [
            f"{one['id']}: {one['help']}: {node['html'][:200]}"
            for one in found["violations"]
            if one["impact"] in _SERIOUS
            for node in one["nodes"]
        ]


Open = Callable[..., Awaitable[Opened]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/browser/dashboard/" in str(item.path):
            # the browser lives as long as the session, and so must the loop
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def built() -> Path:
    """The page of these very sources."""
    build_ui.build()
    return build_ui.STATIC


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def studio(
    day_file: tuple[Path, Days], built: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Studio]:
    """The application; tests that change something take jobs of their own."""
    folder = tmp_path_factory.mktemp("studio")
    async with open_studio(f"sqlite:///{day_file[0]}", folder, UNTIL_MS) as running:
        await work(running)
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser, studio: Studio) -> AsyncIterator[Open]:
    """``await open_page("gpus?last=6h", "olga", theme="dark", width=380)``; olga is the admin."""
    contexts: list[BrowserContext] = []
    opened: list[Opened] = []

    async def opener(
        route: str = "", user: str = "olga", *, theme: Any = "light", width: int = 1280
    ) -> Opened:
        context = await browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=theme
        )
        contexts.append(context)
        key: dict[str, str | float | bool] = {"key": key_of(user)}
        answer = await context.request.post(f"{studio.url}/login", form=key, max_redirects=0)
        assert answer.status == 303, await answer.text()
        page = await context.new_page()
        page.set_default_timeout(60_000)
        await page.clock.install(time=studio.now_ms() / 1000)
        opened.append(Opened(page, Problems(page, studio.url)))
        await page.goto(f"{studio.url}/dashboard/#/{route}")
        await page.get_by_role("heading", level=1).wait_for()
        return opened[-1]

    yield opener
    wrong = [one.problems.unexpected() for one in opened]
    for one in opened:
        # an answer that a route of the test still waits for must not break the next test
        await one.page.unroute_all(behavior="ignoreErrors")
    for context in contexts:
        await context.close()
    assert wrong == [[] for _ in opened]


def _axe() -> str:
    if not _AXE.is_file():
        pytest.fail("axe-core is not here: ./run ui-packages installs it")
    return _AXE.read_text()


async def settled(page: Page) -> None:
    """Give charts a moment to be drawn: they wait for frames, not for answers."""
    await page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    await asyncio.sleep(0)
