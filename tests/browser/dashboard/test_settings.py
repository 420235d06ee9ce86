"""Settings, workers and the audit log: what admins change is in force, and written down."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from config.upkeep import drained
from tests.browser.dashboard.conftest import Open
from tests.studio import Studio


async def drain_and_back(page: Page) -> None:
    """Two deeds for the audit log, whichever tests ran before in this process."""
    drain = page.get_by_role("button", name="Drain: studio-b", exact=True)
    back = page.get_by_role("button", name="Back in service: studio-b", exact=True)
    await drain.click()
    await back.click()
    await expect(drain).to_be_visible()


async def test_an_admin_changes_a_weight_and_takes_it_back(open_page: Open, studio: Studio) -> None:
    opened = await open_page("settings")
    page = opened.page
    await page.get_by_role("link", name="anna", exact=True).click()
    sheet = page.get_by_role("dialog", name="User anna")
    weight = sheet.get_by_label("weight", exact=True)
    opened.problems.expect(r"PUT \S*limits/values/\S* 400")
    await weight.fill("0")
    await weight.press("Enter")
    await expect(sheet.get_by_role("alert")).to_contain_text("greater than 0")
    await weight.fill("2.5")
    await weight.press("Enter")
    await expect(sheet.get_by_text("changed by olga")).to_be_visible()
    assert (await studio.ledger.overrides())[1]["users.anna.weight"] == "2.5"
    await sheet.get_by_role("button", name="Back to").click()
    await expect(sheet.get_by_text("changed by olga")).to_have_count(0)
    assert "users.anna.weight" not in (await studio.ledger.overrides())[1]
    await sheet.get_by_role("button", name="Close").click()
    await page.get_by_role("tab", name="Changes").click()
    rows = page.get_by_role("row").filter(has_text="users.anna.weight")
    await expect(rows.first).to_contain_text("as in the file")
    await expect(rows.nth(1)).to_contain_text("2.5")


async def test_somebody_elses_change_is_not_lost(open_page: Open, studio: Studio) -> None:
    opened = await open_page("settings?tab=pool&open=pool%3Ascheduler.max_running")
    sheet = opened.page.get_by_role("dialog", name="scheduler.max_running")
    field = sheet.get_by_label("max running")
    await expect(field).to_be_visible()
    await studio.ledger.override({"somebody": "1"})
    opened.problems.expect(r"PUT \S*limits/values/\S* 412")
    await field.fill("3")
    await field.press("Enter")
    await expect(sheet.get_by_role("alert")).to_contain_text("look at it, then try again")
    done = sheet.get_by_text("changed by olga")
    for _ in range(10):  # refused once more while the sheet still reads what is there now
        await field.press("Enter")
        await opened.page.wait_for_timeout(500)
        if await done.count():
            break
    await expect(done).to_be_visible()
    await studio.ledger.override({"somebody": None, "scheduler.max_running": None})


async def test_maintenance_is_on_every_page_while_it_lasts(open_page: Open, studio: Studio) -> None:
    page = (await open_page("settings")).page
    await page.get_by_label("Message").fill("new disks")
    await page.get_by_role("button", name="Start nothing new").click()
    again = page.get_by_role("button", name="Let prompts start again")
    await expect(again).to_be_visible()
    artist = (await open_page("overview", "anna")).page
    await expect(artist.get_by_text("new prompts wait, what runs ends. new disks.")).to_be_visible()
    await again.click()
    await expect(page.get_by_role("button", name="Start nothing new")).to_be_visible()
    assert '"enabled": false' in (await studio.ledger.overrides())[1]["maintenance"]


async def test_a_user_is_forgotten_only_by_whom_types_the_name(open_page: Open) -> None:
    page = (await open_page("settings?open=users%3Afinn")).page
    sheet = page.get_by_role("dialog", name="User finn")
    await sheet.get_by_role("button", name="Forget this user").click()
    sure = sheet.get_by_role("button", name="Forget finn")
    await expect(sure).to_be_disabled()
    await sheet.get_by_label("Type the user's name").fill("finn")
    await sure.click()
    await expect(sheet.get_by_text("finn is forgotten: 3 rows and files deleted.")).to_be_visible()


async def test_a_host_is_drained_and_a_log_is_read(open_page: Open, studio: Studio) -> None:
    page = (await open_page("workers")).page
    await page.get_by_role("button", name="Drain: studio-b", exact=True).click()
    back = page.get_by_role("button", name="Back in service: studio-b", exact=True)
    await expect(back).to_be_visible()
    assert "studio-b" in drained((await studio.ledger.overrides())[1])
    await back.click()
    await expect(page.get_by_role("button", name="Drain: studio-b", exact=True)).to_be_visible()
    await page.get_by_role("link", name="studio-a-0").click()
    sheet = page.get_by_role("dialog", name="Log of studio-a-0")
    await expect(sheet.get_by_text("loaded a model")).to_be_visible()
    await page.get_by_role("button", name="Close").click()
    await expect(page).to_have_url(page.url.partition("#")[0] + "#/workers")


async def test_what_was_done_and_seen_is_in_the_audit_log(open_page: Open) -> None:
    page = (await open_page("settings?open=users%3Aanna")).page
    weight = page.get_by_role("dialog", name="User anna").get_by_label("weight", exact=True)
    await weight.fill("1.5")
    await weight.press("Enter")
    await expect(page.get_by_text("changed by olga")).to_be_visible()
    await drain_and_back((await open_page("workers")).page)
    page = (await open_page("audit?action=drain")).page
    row = page.get_by_role("row").filter(has_text="worker studio-b").first
    await expect(row).to_contain_text("olga")
    await expect(row).to_contain_text("studio-b-0")
    await page.get_by_role("combobox", name="Show").select_option("limit")
    await expect(page.get_by_role("row").filter(has_text="users.anna.weight").first).to_be_visible()
    page = (await open_page("settings?open=users%3Aanna")).page
    await page.get_by_role("button", name="Back to").first.click()
    await expect(page.get_by_text("changed by olga")).to_have_count(0)


async def test_artists_have_none_of_these_pages(open_page: Open) -> None:
    page = (await open_page("overview", "anna")).page
    for name in ("Settings", "Workers", "Audit"):
        await expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)
        await page.evaluate(f"location.hash = '#/{name.lower()}'")
        await expect(page.get_by_role("heading", name=name, level=1)).to_have_count(0)
        await expect(page.get_by_role("table")).to_have_count(0)


@pytest.mark.parametrize(
    ("route", "theme", "width"),
    [
        ("settings", "light", 1280),
        ("settings?tab=pool", "dark", 380),
        ("settings?open=users%3Aanna", "dark", 380),
        ("workers", "dark", 380),
        ("audit", "light", 380),
    ],
)
async def test_nothing_serious_is_found_by_axe(
    open_page: Open, route: str, theme: str, width: int
) -> None:
    if route == "audit":
        await drain_and_back((await open_page("workers")).page)
    opened = await open_page(route, theme=theme, width=width)
    await expect(opened.page.get_by_role("table").first).to_be_visible()
    assert await opened.findings() == []
    assert await opened.page.evaluate("document.documentElement.scrollWidth") <= width
