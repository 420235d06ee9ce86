"""The GPUs' page: who held how much when, and how the cards were."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from tests.browser.dashboard.conftest import Open, settled
from tests.day import FROM_MS, UNTIL_MS


async def test_an_admin_sees_who_held_memory_and_what_keeps_workers_within_it(
    open_page: Open,
) -> None:
    page = (await open_page("gpus?last=24h")).page
    card = page.get_by_role("article", name="RTX 3090, studio-b GPU 0")
    figures = card.get_by_role("table", name="Memory of RTX 3090")
    await expect(figures).to_contain_text("emil")
    await expect(figures).to_contain_text("Foreign")
    await expect(card).to_contain_text("throttled: hw thermal")
    workers = card.get_by_role("table", name="Workers on studio-b GPU 0")
    await expect(workers).to_contain_text("told")
    await expect(workers).to_contain_text("3.0 GiB of 11.0 GiB promised")


async def test_an_artist_is_not_told_who_holds_it(open_page: Open) -> None:
    page = (await open_page("gpus?last=24h&by=user", "anna")).page
    figures = page.get_by_role("table", name="Memory of RTX 4090, studio-a GPU 0")
    await expect(figures).to_contain_text("others")
    text = await page.locator("body").inner_text()
    assert not [name for name in ("ben", "cleo", "dora", "emil", "finn") if name in text.split()]


async def test_a_brush_zooms_into_history_and_back_leads_out_again(open_page: Open) -> None:
    page = (await open_page("gpus/GPU-a0?last=24h")).page
    chart = page.get_by_label("Memory of RTX 4090, studio-a GPU 0 in GiB")
    # the chart is made anew when its figures have come
    await expect(page.get_by_role("table", name="Memory of")).to_contain_text("GiB")
    over = chart.locator(".u-over")
    box = None
    async with asyncio.timeout(60):
        while box is None or box != await over.bounding_box():
            box = await over.bounding_box()
            await page.evaluate("() => new Promise(requestAnimationFrame)")
    await page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 20)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 20, steps=5)
    await page.mouse.up()
    await expect(page.get_by_label("From")).to_be_visible()
    assert "from=" in page.url
    query = page.url.partition("?")[2]
    ends = dict(part.split("=") for part in query.split("&"))
    hours = (int(ends["until"]) - int(ends["from"])) / 3_600_000
    assert 4 < hours < 5.6
    await page.go_back()
    await expect(page.get_by_label("From")).to_be_hidden()


async def test_the_cursor_moves_by_keys_and_says_what_was_there(open_page: Open) -> None:
    until = UNTIL_MS - 3_600_000
    page = (await open_page(f"gpus/GPU-a0?from={until - 7_200_000}&until={until}&by=kind")).page
    chart = page.get_by_label("Memory of RTX 4090, studio-a GPU 0 in GiB")
    await expect(page.get_by_role("table", name="Memory of")).to_contain_text("Resident9")
    await settled(page)
    await chart.focus()
    await page.keyboard.press("End")
    said = page.locator("[aria-live=polite]").filter(has_text="Resident")
    await expect(said).to_contain_text("GiB")


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 380)])
async def test_nothing_serious_is_found_by_axe(open_page: Open, theme: str, width: int) -> None:
    opened = await open_page("gpus?last=6h", theme=theme, width=width)
    await expect(opened.page.get_by_role("article")).to_have_count(4)
    assert await opened.findings() == []
    assert await opened.page.evaluate("document.documentElement.scrollWidth") <= width


async def test_a_time_without_figures_is_drawn_as_a_gap(open_page: Open) -> None:
    # the host was away from 21:18 to 21:27 (simulator.day.write)
    hour = FROM_MS + 3_600_000
    page = (await open_page(f"gpus/GPU-a0?from={hour}&until={hour + 3_600_000}&by=kind")).page
    figures = page.get_by_role("table", name="Memory of RTX 4090, studio-a GPU 0")
    await expect(figures).to_contain_text("Foreign0.0 GiB")
    chart = page.get_by_label("Memory of RTX 4090, studio-a GPU 0 in GiB")
    gap = await page.evaluate(
        "getComputedStyle(document.documentElement).getPropertyValue('--gap').trim()"
    )
    # just above the floor, at each minute: what colour is it, once it is drawn?
    before = away = after = ""
    async with asyncio.timeout(60):
        while away != gap:
            before, away, after = await chart.locator("canvas").evaluate(
                _COLOURS_AT, [m / 60 for m in (5, 22.5, 50)]
            )
    assert gap not in (before, after)


async def test_what_lasts_less_than_a_pixel_can_be_seen(open_page: Open) -> None:
    moments, gib = 10_000, 2**30
    reserved = [2 * gib] * moments
    reserved[7000] = 20 * gib
    nothing = [0] * moments
    columns = {
        "total_bytes": [24 * gib] * moments,
        "foreign_bytes": nothing,
        "resident_bytes": nothing,
        "reserved_bytes": reserved,
    }
    until = UNTIL_MS - 3_600_000
    begin = until - moments * 1000
    at = list(range(begin, until, 1000))
    past = {"at_ms": at, "columns": columns, "gaps": [], "holders": []}
    opened = await open_page("gpus")
    page, told = opened.page, {"from_ms": begin, "until_ms": until, "step_s": 1}
    await page.route(
        "**/samples/gpus*", lambda route: route.fulfill(json=told | {"gpus": {"GPU-a0": past}})
    )
    await page.goto(f"{page.url.split('#')[0]}#/gpus/GPU-a0?from={begin}&until={until}&by=kind")
    figures = page.get_by_role("table", name="Memory of RTX 4090, studio-a GPU 0")
    await expect(figures).to_contain_text("20.0 GiB")
    canvas = page.get_by_label("Memory of RTX 4090, studio-a GPU 0 in GiB").locator("canvas")
    low, high, width = 0, 0, 1
    async with asyncio.timeout(60):  # it is drawn some frames after its figures are told
        while abs(low - width) > 3 or high < 1:
            low, high, width = await canvas.evaluate(_FILLED_AT, [1 / 24, 17 / 24])
    assert high <= 3


#: pixels that are filled at a share of the chart's height, for each; and its width
_FILLED_AT = """(canvas, shares) => {
  const over = canvas.parentElement.querySelector('.u-over'), ratio = canvas.width / canvas.clientWidth;
  const left = Math.round(over.offsetLeft * ratio), width = Math.round(over.clientWidth * ratio);
  const filled = shares.map(share => {
    const y = Math.round((over.offsetTop + over.clientHeight * (1 - share)) * ratio);
    const row = canvas.getContext('2d').getImageData(left, y, width, 1).data;
    return row.filter((value, n) => n % 4 === 3 && value === 255).length;
  });
  return [...filled, width];
}"""


_COLOURS_AT = """(canvas, shares) => {
  const over = canvas.parentElement.querySelector('.u-over'), ratio = canvas.width / canvas.clientWidth;
  const y = Math.round((over.offsetTop + over.clientHeight - 4) * ratio);
  return shares.map(share => {
    const x = Math.round((over.offsetLeft + over.clientWidth * share) * ratio);
    const [r, g, b] = canvas.getContext('2d').getImageData(x, y, 1, 1).data;
    return '#' + [r, g, b].map(n => n.toString(16).padStart(2, '0')).join('');
  });
}"""
