"""The queue's page: who waits for what, and what may be done about it."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Route, expect

from tests.browser.dashboard.conftest import Open
from tests.studio import Studio


async def test_an_admin_sees_reason_blocker_and_forecast_of_everybody(open_page: Open) -> None:
    page = (await open_page("queue")).page
    await expect(page.get_by_text("waiting, 4 running")).to_be_visible()
    first = page.get_by_role("row").filter(has_text="needs 9.0 GiB")
    await expect(first).to_contain_text("Not enough free memory")
    await expect(first).to_contain_text("in its way: studio-a GPU 0")
    await expect(first).to_contain_text("9 of 10 within")
    await expect(page.get_by_role("row").filter(has_text="cleo")).to_contain_text("batch")
    await page.get_by_label("Reason").select_option("budget")
    await expect(page).to_have_url(re.compile("reason=budget"))
    await expect(page.get_by_role("row")).to_have_count(2)
    await page.reload()
    await expect(page.get_by_role("row")).to_have_count(2)


async def test_an_artist_sees_no_other_name_and_one_s_place_among_all(open_page: Open) -> None:
    page = (await open_page("queue", "finn")).page
    mine = page.get_by_role("row").filter(has_text="1 job of finn may run at once")
    await expect(mine).to_contain_text("4")
    text = await page.locator("body").inner_text()
    assert not [name for name in ("anna", "ben", "cleo", "dora", "emil") if name in text]
    await expect(page.get_by_label("User")).to_have_count(0)


async def test_an_owner_holds_and_cancels_with_the_keyboard(
    open_page: Open, studio: Studio
) -> None:
    job = await studio.submit("to cancel", "emil")
    page = (await open_page("queue", "emil")).page
    line = page.get_by_role("row").filter(has_text=job.prompt_id[:8])
    await line.focus()
    await page.keyboard.press("Enter")
    sheet = page.get_by_role("dialog", name=f"Job {job.prompt_id}")
    await sheet.get_by_role("button", name="Hold").click()
    await expect(line).to_contain_text("held")
    await sheet.get_by_role("button", name="Let it start").click()
    await sheet.get_by_role("button", name="Cancel it").click()
    await sheet.get_by_role("button", name="Yes, cancel it").click()
    await expect(sheet).to_be_hidden()
    await expect(line).to_have_count(0)
    assert not [one for one in await studio.ledger.unfinished("emil") if one.id == job.id]


async def test_the_keyboard_is_where_it_was_once_a_job_is_closed_and_who_left_is_told(
    open_page: Open, studio: Studio
) -> None:
    page = (await open_page("queue")).page
    line = page.get_by_role("row").filter(has_text="1 job of finn may run at once")
    await line.focus()
    await page.keyboard.press("Enter")
    sheet = page.get_by_role("dialog", name="Job ")
    await sheet.get_by_role("button", name="Close").press("Enter")
    await expect(sheet).to_have_count(0)
    await expect(line).to_be_focused()
    await page.evaluate("location.hash = '#/queue/long-gone'")
    left = page.get_by_role("dialog", name="no longer in this list")
    await expect(left.get_by_role("link")).to_have_attribute("href", "#/jobs/long-gone")


async def test_answers_that_take_longer_than_they_are_asked_for_are_shown(
    open_page: Open,
) -> None:
    page = (await open_page("overview")).page

    async def slow(route: Route) -> None:
        await asyncio.sleep(4)
        await route.continue_()

    await page.route("**/api/v1/queue?*", slow)
    await page.evaluate("location.hash = '#/queue'")
    await expect(page.get_by_text("waiting, 4 running")).to_be_visible()
    await page.unroute_all(behavior="ignoreErrors")


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 380)])
async def test_nothing_serious_is_found_by_axe(open_page: Open, theme: str, width: int) -> None:
    opened = await open_page("queue", theme=theme, width=width)
    await expect(opened.page.get_by_role("table")).to_be_visible()
    assert await opened.findings() == []
    assert await opened.page.evaluate("document.documentElement.scrollWidth") <= width
