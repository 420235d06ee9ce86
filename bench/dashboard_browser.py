"""What a page costs the browser: Chromium's own figures, for ``bench.dashboard``."""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, CDPSession, async_playwright

from bench.dashboard_pool import recent

Json = dict[str, Any]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's browser."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        raise SystemExit("no chromium: apt-get install chromium, or set CHROMIUM to its path")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def interactive(browser: Browser, url: str, rounds: int) -> Json:
    """Milliseconds from the address to a page with live figures that takes clicks."""
    times = []
    for _ in range(rounds):
        context = await browser.new_context(viewport={"width": 1440, "height": 900})
        page = await context.new_page()
        await page.goto(f"{url}/dashboard/", wait_until="commit")
        await page.wait_for_selector(".totals dd")
        times.append(await page.evaluate("performance.now()"))
        await context.close()
    return {
        "interactive_ms": round(statistics.median(times), 1),
        "slowest_ms": round(max(times), 1),
    }


async def live(browser: Browser, url: str, seconds: float) -> Json:
    """Main-thread time of one live update, with all points on the page and drawn anew each time.

    A quarter of an hour is shown, so that every update moves the charts; its history is handed to
    the page here, since a store tells no page so many points of so short a time.
    """
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    updates, curves = [0], recent()
    page.on("websocket", lambda socket: socket.on("framereceived", lambda _: _count(updates)))
    await page.route("**/samples/gpus*", lambda route: route.fulfill(json=curves))
    await page.goto(f"{url}/dashboard/#/gpus?last=15min&by=worker")
    await page.locator(".uplot").nth(7).wait_for()
    await asyncio.sleep(3)
    session = await context.new_cdp_session(page)
    # time of the thread, not of the clock: what else the machine does is not the page's
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before, first = await _busy(session), updates[0]
    await asyncio.sleep(seconds)
    after, last = await _busy(session), updates[0]
    await context.close()
    return {
        "points": sum(
            len(gpu["at_ms"]) * (len(gpu["holders"]) + 4) for gpu in curves["gpus"].values()
        ),
        "updates": last - first,
        "main_thread_ms_per_update": round((after - before) * 1000 / max(1, last - first), 2),
        "busy_percent": round(100 * (after - before) / seconds, 1),
    }


async def long_queue(browser: Browser, url: str) -> Json:
    """Milliseconds until a page of a long queue is there, and until the next one is."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    await page.goto(f"{url}/dashboard/#/queue", wait_until="commit")
    await page.wait_for_selector("tbody tr")
    shown = await page.evaluate("performance.now()")
    await page.get_by_role("button", name="Later").click()
    before = await page.evaluate("performance.now()")
    await page.get_by_text("101 to 200").wait_for()
    turned = await page.evaluate("performance.now()") - before
    await context.close()
    return {"shown_ms": round(shown, 1), "next_page_ms": round(turned, 1)}


def _count(updates: list[int]) -> None:
    updates[0] += 1


async def _busy(session: CDPSession) -> float:
    told = await session.send("Performance.getMetrics")
    return next(float(one["value"]) for one in told["metrics"] if one["name"] == "TaskDuration")
