"""The overview: what runs now, and why the rest waits."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import WebSocketRoute, expect

from tests.browser.dashboard.conftest import Open
from tests.studio import Studio


async def test_an_admin_sees_what_runs_where_and_at_which_node(
    open_page: Open, studio: Studio
) -> None:
    page = (await open_page()).page
    runs = page.get_by_role("list", name="Running jobs").get_by_role("listitem")
    await expect(runs).to_have_count(4)
    anna = runs.filter(has_text="anna")
    await expect(anna).to_contain_text("KSampler")
    await expect(anna).to_contain_text("11 of 20")
    await expect(anna).to_contain_text("studio-a · GPU 0 · 14.0 GiB")
    await expect(runs.filter(has_text="emil")).to_contain_text("Which node runs is not told")
    why = page.get_by_role("table", name="Jobs that wait")
    await expect(why).to_contain_text("the most that is free on one GPU is 7.6 GiB")
    await expect(why).to_contain_text("in its way: studio-a GPU 0")


async def test_an_artist_sees_own_jobs_and_a_count_of_the_others(open_page: Open) -> None:
    page = (await open_page("", "anna")).page
    runs = page.get_by_role("list", name="Running jobs").get_by_role("listitem")
    await expect(runs).to_have_count(1)
    await expect(page.get_by_text("3 jobs of others run beside yours")).to_be_visible()
    text = await page.locator("body").inner_text()
    assert not [name for name in ("ben", "cleo", "dora", "emil", "finn") if name in text.split()]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 380])
async def test_nothing_serious_is_found_by_axe(open_page: Open, theme: str, width: int) -> None:
    opened = await open_page("", theme=theme, width=width)
    await expect(opened.page.get_by_role("list", name="Running jobs")).to_be_visible()
    assert await opened.findings() == []
    wide = await opened.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width


async def test_keys_open_pages_and_the_list_of_keys(open_page: Open) -> None:
    page = (await open_page()).page
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    await page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    await expect(keys).to_contain_text("Go to Overview")
    await page.keyboard.press("Escape")
    await expect(keys).to_be_hidden()


async def test_who_is_logged_out_is_told_so_and_is_live_again_once_back_in(
    open_page: Open, studio: Studio
) -> None:
    opened = await open_page("", "anna")
    page, sockets = opened.page, list[WebSocketRoute]()

    def through(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    await page.route_web_socket("**/api/v1/live*", through)
    await page.reload()
    await expect(page.get_by_role("list", name="Running jobs")).to_be_visible()
    opened.problems.expect(r".* 401", ".*WebSocket")
    kept = await page.context.cookies()
    await page.context.clear_cookies()
    await sockets[-1].close()
    said = page.get_by_role("alert").filter(has_text=re.compile("log(ged)? in|key", re.IGNORECASE))
    await expect(said).to_be_visible()
    await expect(page.get_by_role("button", name="Reload")).to_be_visible()
    await page.context.add_cookies([{**one} for one in kept])  # type: ignore[typeddict-item]
    # as when its tab is looked at again
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    await expect(said).to_have_count(0)
