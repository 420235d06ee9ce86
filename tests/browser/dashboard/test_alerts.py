"""Alerts over the simulated day: what fired and why, whose, silences, the live badge."""

from __future__ import annotations

import json
import re

import pytest
from playwright.async_api import Route, expect

from store import history_schema
from store.engine import open_engine, writing
from tests.browser.dashboard.conftest import Open
from tests.studio import Studio

pytestmark = pytest.mark.browser


async def put_firing(studio: Studio) -> None:
    """One of anna's and one of the pool's that fire just now."""
    now = studio.now_ms()
    rows = [
        {
            "id": "fire-anna", "rule": "slow_node", "subject": "node:VAEDecode",
            "user_name": "anna", "group_name": "film", "severity": "warning",
            "detail": {"text": "node 8 (VAEDecode) took 12 s, usually 1.2 s; it fell back to tiles",
                       "job": "j", "attempt": 1, "node": "8"},
            "value": 12.0, "worst": 12.0, "threshold": 5.0,
        },
        {
            "id": "fire-gpu", "rule": "hot_gpu", "subject": "gpu:GPU-a0", "user_name": "",
            "group_name": "", "severity": "critical",
            "detail": {"text": "95 °C", "gpu": "GPU-a0", "agent": "studio-a"},
            "value": 95.0, "worst": 96.0, "threshold": 88.0,
        },
    ]  # fmt: skip
    engine = open_engine(studio.store_url)
    async with writing(engine) as connection:
        await connection.execute(
            history_schema.alerts.delete().where(
                history_schema.alerts.c.id.in_([row["id"] for row in rows])
            )
        )
        await connection.execute(
            history_schema.alerts.insert(),
            [
                {**row, "detail": json.dumps(row["detail"]), "since_ms": now - 60_000,
                 "began_ms": now - 70_000, "ended_ms": None, "muted": ""}
                for row in rows
            ],
        )  # fmt: skip
    await engine.dispose()


async def test_the_day_shows_what_fired_with_its_evidence(open_page: Open) -> None:
    opened = await open_page("alerts?tab=past&last=24h")
    page = opened.page
    row = page.get_by_role("row").filter(has_text="agent_silent")
    await expect(row).to_contain_text("agent:studio-a")
    await expect(row.get_by_role("link", name="The GPUs at that time")).to_have_attribute(
        "href", re.compile(r"^#/gpus\?from=\d+")
    )
    decode = page.get_by_role("row").filter(has_text="VAEDecode")
    await expect(decode).to_contain_text("finn")
    await expect(decode).to_contain_text("usually 3.58 s")
    await expect(decode.get_by_role("link", name="The job at this node")).to_have_count(1)
    # a rule of one kind
    await page.get_by_label("Rule").select_option("out_of_memory")
    await expect(page.get_by_role("row").filter(has_text="slow_node")).to_have_count(0)
    await expect(page.get_by_role("row").filter(has_text="out_of_memory")).to_have_count(1)


async def test_what_fires_is_told_live_and_everybody_sees_their_own(
    open_page: Open, studio: Studio
) -> None:
    await put_firing(studio)
    admin = (await open_page("alerts", "olga")).page
    await expect(admin.get_by_role("row").filter(has_text="hot_gpu")).to_contain_text("96 °C")
    await expect(admin.get_by_role("row").filter(has_text="slow_node")).to_contain_text("anna")
    badge = admin.get_by_role("navigation", name="Pages").get_by_role("link", name="Alerts")
    await expect(badge).to_contain_text("2")
    await expect(badge).to_contain_text("1 of them critical")

    anna = (await open_page("alerts", "anna")).page
    await expect(anna.get_by_role("row").filter(has_text="slow_node")).to_have_count(1)
    await expect(anna.get_by_role("row").filter(has_text="hot_gpu")).to_have_count(0)
    await expect(anna.get_by_role("tab", name="Silences")).to_have_count(0)

    ben = (await open_page("alerts", "ben")).page
    await expect(ben.get_by_text("Nothing fires that is about your jobs")).to_be_visible()


async def test_a_link_opens_one_alert_and_it_is_silenced_by_keyboard(
    open_page: Open, studio: Studio
) -> None:
    await put_firing(studio)
    page = (await open_page("alerts/fire-gpu", "olga")).page
    sheet = page.get_by_role("dialog", name="hot_gpu")
    await expect(sheet).to_contain_text("gpu:GPU-a0")
    await expect(sheet.get_by_role("link", name="The GPU at that time")).to_be_visible()
    await sheet.get_by_role("button", name="Silence …").press("Enter")
    form = page.get_by_role("dialog", name="Silence alerts")
    await expect(form.get_by_label("Rule")).to_have_value("hot_gpu")
    await expect(form.get_by_label("About")).to_have_value("gpu:GPU-a0")
    why = form.get_by_label("Why")
    await why.fill("new paste at noon")
    await why.press("Enter")
    await expect(form).to_be_hidden()
    await page.keyboard.press("Escape")
    await page.get_by_role("tab", name="Silences").click()
    row = page.get_by_role("row").filter(has_text="new paste at noon")
    await expect(row).to_contain_text("olga")
    await row.get_by_role("button", name="End").click()
    await expect(row).to_contain_text("over")


async def test_that_nobody_looks_is_said(open_page: Open) -> None:
    page = (await open_page("overview", "olga")).page

    async def late(route: Route) -> None:
        answer = await route.fetch()
        told = await answer.json()
        await route.fulfill(
            response=answer, json={**told, "unwatched": True, "looked_ms": told["now_ms"] - 7e6}
        )

    await page.route("**/api/v1/alerts", late)
    await page.evaluate("location.hash = '#/alerts'")
    await expect(page.get_by_text("Is the recorder up")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_nothing_serious_is_found_in_either_theme_and_on_a_phone(
    open_page: Open, studio: Studio, theme: str
) -> None:
    await put_firing(studio)
    wide = await open_page("alerts", theme=theme)
    narrow = await open_page("alerts", theme=theme, width=380)
    for tab in ("Firing", "History", "Rules", "Silences", "Who is told"):
        await wide.page.get_by_role("tab", name=tab).click()
        await expect(wide.page.get_by_role("tabpanel").locator("table, p").first).to_be_visible()
        assert await wide.findings() == [], tab
        await narrow.page.get_by_role("tab", name=tab).click()
        await expect(narrow.page.get_by_role("tabpanel").locator("table, p").first).to_be_visible()
        beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await narrow.page.evaluate(beyond) <= 0, tab
