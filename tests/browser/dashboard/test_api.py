"""The page of the API: everything that may be asked is there, and can be asked at once."""

from __future__ import annotations

import json
import re

import pytest
from playwright.async_api import expect

from tests.browser.dashboard.conftest import Open
from tests.studio import Studio


async def test_every_operation_is_listed_and_found_by_its_words(open_page: Open) -> None:
    page = (await open_page("api")).page
    document = await page.evaluate("fetch('../openapi.json').then(answer => answer.json())")
    there = [
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item
        if method != "servers"
    ]
    rows = page.locator(".api-operation > summary")
    await expect(rows).to_have_count(len(there))
    assert len(there) > 60
    await page.get_by_label("Find").fill("jobs cancel")
    await expect(rows).not_to_have_count(len(there))
    for text in await rows.all_inner_texts():
        assert "jobs" in text.lower()
    await expect(page).to_have_url(re.compile(r"find=jobs\+cancel"))
    await page.get_by_label("Find").fill("no such thing")
    await expect(page.get_by_text("Nothing is called so")).to_be_visible()


async def test_a_link_opens_an_operation_with_its_fields(open_page: Open) -> None:
    page = (await open_page("api?open=GET+%2Fdashboard%2Fapi%2Fv1%2Fqueue")).page
    about = page.locator(".api-about")
    await expect(about).to_have_count(1)
    await expect(about).to_contain_text("If-None-Match")
    await about.locator("summary", has_text="Queue").first.click()
    await about.locator("summary", has_text="QueuedJob").first.click()
    await expect(about.get_by_text("start_p90_ms")).to_be_visible()
    # the keyboard closes it, too
    await page.locator(".api-operation[open] > summary").focus()
    await page.keyboard.press("Enter")
    await expect(about).to_have_count(0)
    await expect(page).not_to_have_url(re.compile("open="))


@pytest.mark.parametrize(("user", "sees"), [("olga", True), ("ben", False)])
async def test_asking_is_with_the_rights_of_whoever_looks(
    open_page: Open, studio: Studio, user: str, sees: bool
) -> None:
    page = (await open_page("api?open=GET+%2Fdashboard%2Fapi%2Fv1%2Fqueue", user)).page
    await page.get_by_label("rows", exact=True).fill("1000")
    await expect(page.locator(".api-curl")).to_contain_text("rows=1000")
    await page.get_by_role("button", name="Ask", exact=True).click()
    answer = page.get_by_label("The answer")
    await expect(answer).to_be_visible()
    told = json.loads(await answer.inner_text())
    users = {job["user"] for job in told["jobs"]}
    assert (users - {user} != set()) is sees
    key = await page.evaluate("document.cookie")
    assert key == ""
    await expect(page.locator(".api-curl")).to_contain_text("$VRAMGATE_KEY")


async def test_a_refusal_is_shown_as_what_it_is(open_page: Open) -> None:
    opened = await open_page("api?open=GET+%2Fdashboard%2Fapi%2Fv1%2Fqueue")
    opened.problems.expect(r"GET /dashboard/api/v1/queue\S* 400")
    page = opened.page
    await page.get_by_label("rows", exact=True).fill("none")
    await page.get_by_role("button", name="Ask", exact=True).click()
    await expect(page.get_by_label("The answer")).to_contain_text("whole number")


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 380)])
async def test_it_is_fit_for_everybody(open_page: Open, theme: str, width: int) -> None:
    opened = await open_page(
        "api?open=GET+%2Fdashboard%2Fapi%2Fv1%2Fqueue&find=queue", theme=theme, width=width
    )
    await expect(opened.page.locator(".api-about")).to_have_count(1)
    assert await opened.findings() == []
    wide = await opened.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
