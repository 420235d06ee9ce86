"""A real Chromium with ComfyUI's own frontend, pointed at a whole stack."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.browser.frontend import Frontend
from tests.endtoend.conftest import start  # noqa: F401  (the fixture is used here too)
from tests.endtoend.stack import Stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/browser/" in str(item.path):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(scope="module")
def stack(start: Callable[..., Stack]) -> Stack:  # noqa: F811
    """One simulated GPU, two workers, slow enough to watch and to cancel."""
    return start("--simulate", "gpus=1,vram=24GiB,workers=2,speed=8")


def chromium() -> str:
    """Debian's browser; the suite never downloads one."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "no chromium: apt-get install chromium, or set CHROMIUM to its path"
    return found


@pytest.fixture
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
            ],
        )
        yield browser
        await browser.close()


@pytest.fixture
async def open_as(browser: Browser, stack: Stack) -> AsyncIterator[Callable[..., Frontend]]:
    """Open the frontend as a user in a browser context of its own."""
    contexts: list[BrowserContext] = []

    async def opener(key: str) -> Frontend:
        context = await browser.new_context(viewport={"width": 1400, "height": 900})
        contexts.append(context)
        page: Page = await context.new_page()
        frontend = Frontend(page, stack.url)
        await frontend.load(key)
        return frontend

    yield opener
    for context in contexts:
        await context.close()
