"""The page of advice: what gains most first, its evidence, and who sees whose."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.browser.dashboard.conftest import Open, settled

OTHERS = ("ben", "cleo", "dora", "emil", "finn")


async def test_an_admin_sees_causes_remedies_and_gains(open_page: Open) -> None:
    page = (await open_page("advice")).page
    fell = page.get_by_role("article", name=re.compile("VAEDecode fell back"))
    await expect(fell).to_contain_text("GPU time a day")
    await expect(fell.get_by_role("list", name="What to do")).to_contain_text("Tiled VAE")
    await expect(fell).to_contain_text("concerns anna")
    sampler = page.get_by_role("article", name=re.compile("dpmpp_sde"))
    await expect(sampler).to_contain_text("Try euler")


async def test_the_evidence_folds_out_and_has_a_link_of_its_own(open_page: Open) -> None:
    page = (await open_page("advice")).page
    sampler = page.get_by_role("article", name=re.compile("dpmpp_sde"))
    await sampler.get_by_role("button", name="Show the evidence").click()
    await expect(sampler).to_contain_text("Mann–Whitney")
    await expect(sampler.get_by_role("img", name=re.compile("other samplers: "))).to_be_visible()
    assert await sampler.get_by_role("link").count() > 1
    place = page.url.split("#/")[1]
    again = (await open_page(place)).page
    again_sampler = again.get_by_role("article", name=re.compile("dpmpp_sde"))
    await expect(again_sampler).to_contain_text("Mann–Whitney")
    job = again_sampler.get_by_role("listitem").filter(has_text="emil").get_by_role("link").first
    assert (await job.get_attribute("href") or "").startswith("#/jobs/")


async def test_an_artist_sees_own_work_and_nobodys_name(open_page: Open) -> None:
    page = (await open_page("advice", "anna")).page
    fell = page.get_by_role("article", name=re.compile("VAEDecode fell back"))
    await fell.get_by_role("button", name="Show the evidence").click()
    await expect(fell).to_contain_text("concerns you and 1 other")
    await expect(page.get_by_role("article", name=re.compile("^Worker"))).to_have_count(0)
    text = await page.locator("main").inner_text()
    assert not [name for name in OTHERS if name in re.split(r"\W+", text)]


async def test_it_is_dismissed_with_a_reason_and_taken_back_by_keys(open_page: Open) -> None:
    page = (await open_page("advice", "dora")).page
    made = page.get_by_role("article", name=re.compile("were there already"))
    await made.get_by_role("button", name="Dismiss").press("Enter")
    sheet = page.get_by_role("dialog")
    await expect(sheet.get_by_role("button", name="Dismiss")).to_be_disabled()
    await sheet.get_by_label("Why").fill("that is a test of ours")
    await sheet.get_by_role("button", name="Dismiss").press("Enter")
    await expect(made).to_have_count(0)
    await page.get_by_role("link", name=re.compile("^Dismissed 1")).press("Enter")
    await expect(made).to_contain_text("that is a test of ours")
    await made.get_by_role("button", name="Take back").press("Enter")
    await page.get_by_role("link", name=re.compile("^Open")).press("Enter")
    await expect(made).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 380])
async def test_nothing_serious_is_found_by_axe(open_page: Open, theme: str, width: int) -> None:
    opened = await open_page("advice", theme=theme, width=width)
    first = opened.page.get_by_role("article").first
    await first.get_by_role("button", name="Show the evidence").click()
    await settled(opened.page)
    assert await opened.findings() == []
    wide = await opened.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width


async def test_a_jobs_page_has_what_concerns_it(open_page: Open) -> None:
    page = (await open_page("advice", "emil")).page
    sampler = page.get_by_role("article", name=re.compile("dpmpp_sde"))
    await sampler.get_by_role("button", name="Show the evidence").click()
    job = sampler.get_by_role("heading", name="Jobs that show it").locator("..").get_by_role("link")
    await job.first.click()
    advice = page.get_by_role("region", name="Advice")
    await advice.get_by_role("link", name=re.compile("dpmpp_sde")).click()
    await expect(sampler).to_contain_text("Mann–Whitney")
