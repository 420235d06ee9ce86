"""Contention: what was in whose way, and what would have been."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from store.contention import SqlContention
from tests.browser.dashboard.conftest import Open
from tests.day import FROM_MS, UNTIL_MS, DayStore
from tests.day import day as day

SPAN = f"from={FROM_MS}&until={UNTIL_MS}"
#: a rush of the day, which is played quickly
RUSH = f"from={UNTIL_MS - 2 * 3_600_000}&until={UNTIL_MS}"


async def test_waits_are_told_by_what_was_in_the_way(open_page: Open, day: DayStore) -> None:
    page = (await open_page(f"contention?{SPAN}")).page
    blocked = await SqlContention(day.engine).blocked(FROM_MS, UNTIL_MS, by_user=True)
    table = page.get_by_role("table", name="What was blocked by what")
    await expect(table.get_by_role("row")).to_have_count(len(blocked) + 1)
    first = table.get_by_role("row").nth(1)
    await expect(first).to_contain_text(blocked[0].user)
    matrix = page.get_by_role("table", name="Who waited for what")
    users = {one.user for one in blocked}
    await expect(matrix.get_by_role("row")).to_have_count(len(users) + 1)
    peaks = page.get_by_role("table", name="Hours in which most jobs waited")
    await peaks.get_by_role("link").first.click()
    await expect(page).to_have_url(re.compile(r"contention\?from=\d+&until=\d+"))


async def test_memory_shows_near_misses_with_links(open_page: Open, day: DayStore) -> None:
    page = (await open_page(f"contention?{SPAN}&tab=memory")).page
    misses = await SqlContention(day.engine).near_misses(FROM_MS, UNTIL_MS)
    table = page.get_by_role("table", name="Near misses")
    await expect(table.get_by_role("row")).to_have_count(len(misses) + 1)
    (oom,) = [one for one in misses if one.ooms]
    row = table.get_by_role("row").filter(has_text="out of memory")
    link = row.get_by_role("link").first
    assert await link.get_attribute("href") == f"#/jobs/{oom.job}"
    least = page.get_by_role("table", name="Least free memory of each GPU")
    await expect(least.get_by_role("row")).to_have_count(5)


async def test_the_week_can_be_walked_to_by_keys(open_page: Open) -> None:
    page = (await open_page(f"contention?{SPAN}")).page
    await page.get_by_role("tab", name="Waits").focus()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    week = page.get_by_role("table", name="Mean jobs waiting")
    await expect(week).to_be_visible()
    await expect(week.get_by_role("cell").filter(has_not_text="–")).to_have_count(23)
    await page.get_by_label("The last four weeks by").select_option("held")
    await expect(page.get_by_role("table", name="Mean memory held")).to_be_visible()


async def test_one_more_gpu_is_played_beside_the_truth(open_page: Open) -> None:
    page = (await open_page(f"contention?{RUSH}&tab=what-if")).page
    button = page.get_by_role("button", name="Play it")
    await expect(button).to_be_disabled()
    await page.get_by_label("More GPUs like").select_option("GPU-a0")
    await page.get_by_label("Preemption").select_option("on")
    await expect(
        page.get_by_text("one more GPU like studio-a GPU 0, preemption on")
    ).to_be_visible()
    await button.click()
    table = page.get_by_role("table", name="Waits as recorded, played again, and with the change")
    await expect(table).to_be_visible()
    await expect(table.get_by_role("row").nth(1)).to_contain_text("All jobs")
    for column in ("Recorded", "Played again", "With the change"):
        await expect(table.get_by_role("columnheader", name=column)).to_be_visible()
    await expect(page.get_by_text("is what the model gets wrong")).to_be_visible()
    # the link leads to the same answer
    await page.reload()
    await expect(table).to_be_visible()


async def test_an_artist_sees_own_waits_and_nobodys_name(open_page: Open) -> None:
    page = (await open_page(f"contention?{SPAN}", "anna")).page
    await expect(page.get_by_role("heading", name="What your jobs waited for")).to_be_visible()
    await expect(page.get_by_role("tab", name="What if")).to_have_count(0)
    await page.get_by_role("tab", name="Memory").click()
    await expect(page.get_by_role("table", name="Near misses")).to_be_visible()
    text = await page.locator("body").inner_text()
    assert not [name for name in ("ben", "cleo", "dora", "emil", "finn") if name in text.split()]


@pytest.mark.parametrize(
    ("tab", "theme", "width"),
    [
        ("waits", "light", 380),
        ("memory", "dark", 1280),
        ("week", "dark", 380),
        ("what-if", "light", 1280),
    ],
)
async def test_nothing_serious_is_found_by_axe(
    open_page: Open, tab: str, theme: str, width: int
) -> None:
    opened = await open_page(f"contention?{SPAN}&tab={tab}", theme=theme, width=width)
    await expect(opened.page.get_by_role("tabpanel")).to_contain_text(re.compile(r"\w{9}"))
    assert await opened.findings() == []
    assert await opened.page.evaluate("document.documentElement.scrollWidth") <= width
