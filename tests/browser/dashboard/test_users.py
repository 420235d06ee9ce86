"""Users: who used what, as the store has it; everybody else sees only their own."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from store.records import By
from store.users import SqlUsers
from tests.browser.dashboard.conftest import Open
from tests.day import FROM_MS, UNTIL_MS, DayStore
from tests.day import day as day

SPAN = f"from={FROM_MS}&until={UNTIL_MS}"


async def test_the_table_has_the_figures_of_the_day(open_page: Open, day: DayStore) -> None:
    page = (await open_page(f"users?{SPAN}")).page
    table = page.get_by_role("table", name="Usage by user")
    for one in await SqlUsers(day.engine).sums(FROM_MS, UNTIL_MS):
        row = table.get_by_role("row").filter(has_text=one.name)
        await expect(row).to_contain_text(f"{one.gpu_us / 3.6e9:.2f} GPU h")
        await expect(row).to_contain_text(f"{one.energy_mj / 3.6e9:.2f} kWh")
        await expect(row.get_by_role("cell").nth(5)).to_have_text(str(one.jobs))
    days = page.get_by_role("table", name="GPU time by day")
    await expect(days.get_by_role("row")).to_have_count(3)
    budgets = page.get_by_role("table", name="Budgets of 2026-11")
    await expect(budgets.get_by_role("row").filter(has_text="anna")).to_contain_text(
        "others go first"
    )


async def test_a_user_leads_to_the_users_workflows_and_back(open_page: Open, day: DayStore) -> None:
    page = (await open_page(f"users?{SPAN}")).page
    await page.get_by_role("link", name="finn").click()
    await expect(page).to_have_url(re.compile("user=finn"))
    table = page.get_by_role("table", name="Usage by workflow")
    finns = await SqlUsers(day.engine).sums(FROM_MS, UNTIL_MS, By.WORKFLOW, user="finn")
    await expect(table.get_by_role("row")).to_have_count(len(finns) + 1)
    await page.get_by_role("button", name="show everybody").click()
    await expect(page.get_by_role("table", name="Usage by user")).to_be_visible()


async def test_files_have_every_digit(open_page: Open, day: DayStore, tmp_path: Path) -> None:
    page = (await open_page(f"users?{SPAN}&by=group")).page
    sums = await SqlUsers(day.engine).sums(FROM_MS, UNTIL_MS, By.GROUP)
    async with page.expect_download() as waiting:
        await page.get_by_role("link", name="CSV", exact=True).first.click()
    file = tmp_path / "usage.csv"
    await (await waiting.value).save_as(file)
    with file.open(newline="") as text:
        told = {row["group"]: int(row["byte ms"]) for row in csv.DictReader(text)}
    assert told == {one.name: one.byte_ms for one in sums}
    async with page.expect_download() as waiting:
        await page.get_by_role("link", name="Statement as JSON").click()
    await (await waiting.value).save_as(file)
    statement = json.loads(file.read_text())
    assert statement["month"] == "2026-11"
    assert sum(one["cost_us"] for one in statement["usage"]) == sum(one.cost_us for one in sums)


async def test_an_artist_sees_own_usage_and_nobodys_name(open_page: Open) -> None:
    page = (await open_page(f"users?{SPAN}", "dora")).page
    await expect(page.get_by_role("heading", name="Your usage")).to_be_visible()
    await expect(page.get_by_role("table", name="Usage by workflow")).to_be_visible()
    await expect(page.get_by_text("Everybody together")).to_be_visible()
    await page.get_by_label("Usage by").select_option("user")
    table = page.get_by_role("table", name="Usage by user")
    await expect(table.get_by_role("row")).to_have_count(2)
    text = await page.locator("body").inner_text()
    assert not [name for name in ("anna", "ben", "cleo", "emil", "finn") if name in text.split()]


@pytest.mark.parametrize(("theme", "width"), [("light", 380), ("dark", 1280)])
async def test_nothing_serious_is_found_by_axe(open_page: Open, theme: str, width: int) -> None:
    opened = await open_page(f"users?{SPAN}", theme=theme, width=width)
    await expect(opened.page.get_by_role("table", name="GPU time by day")).to_be_visible()
    assert await opened.findings() == []
    assert await opened.page.evaluate("document.documentElement.scrollWidth") <= width
