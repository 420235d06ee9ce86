"""Replay: a recording is chosen, dropped or linked to, gone through, and compared with another."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import FilePayload, Page, expect

from tests.browser.dashboard.conftest import Open
from tests.day import UNTIL_MS
from tests.studio import Studio
from tests.unit.dashboard.perf_json.files import T0, check_schema, small

HOUR = f"from={UNTIL_MS - 3_600_000}&until={UNTIL_MS}"


def payload(content: dict[str, Any] | bytes, name: str = "a.perf.json") -> FilePayload:
    buffer = content if isinstance(content, bytes) else json.dumps(content).encode()
    return {"name": name, "mimeType": "application/json", "buffer": buffer}


async def choose(page: Page, *files: FilePayload) -> None:
    await page.locator('input[type="file"]').set_input_files(list(files))


async def test_a_file_that_was_chosen_is_gone_through_and_stays_here(open_page: Open) -> None:
    opened = await open_page("replay")
    page = opened.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    await choose(page, payload(small()))
    side = page.get_by_role("region", name="a.perf.json")
    timeline = side.get_by_role("slider", name="Timeline of a.perf.json")
    moment = side.get_by_role("region", name="At the cursor")
    await timeline.focus()
    for _ in range(50):
        await page.keyboard.press("ArrowRight")
    await expect(timeline).to_have_attribute("aria-valuenow", "10000")
    await expect(moment).to_contain_text("VAEDecode")
    await expect(moment).to_contain_text("fell back: tiled")
    await expect(moment).to_contain_text("user-1 j1 for 9.00 s")
    for _ in range(13):
        await page.keyboard.press("ArrowRight")
    await expect(moment).to_contain_text("idle")
    assert not [one for one in asked if not one.startswith("GET")]


async def test_it_plays_and_stops_at_the_end(open_page: Open) -> None:
    page = (await open_page("replay")).page
    await choose(page, payload(small()))
    timeline = page.get_by_role("slider", name="Timeline of a.perf.json")
    await page.get_by_label("Speed").select_option("600")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Play").click()
    await page.clock.run_for(2000)
    await expect(timeline).to_have_attribute("aria-valuenow", "20000")
    await expect(page.get_by_role("button", name="Play")).to_be_visible()


async def test_two_side_by_side_share_their_cursor(open_page: Open) -> None:
    page = (await open_page("replay")).page
    later = small()
    for job in later["jobs"]:
        job["id"] = "later"
    await choose(page, payload(small()), payload(later, "b.perf.json"))
    first = page.get_by_role("slider", name="Timeline of a.perf.json")
    second = page.get_by_role("slider", name="Timeline of b.perf.json")
    await first.focus()
    await page.keyboard.press("Shift+ArrowRight")
    await expect(first).to_have_attribute("aria-valuenow", "2000")
    await expect(second).to_have_attribute("aria-valuenow", "2000")
    await page.get_by_role("button", name="Close a.perf.json").click()
    await expect(first).to_have_count(0)


async def test_a_click_on_a_node_tells_everything_about_it(open_page: Open) -> None:
    page = (await open_page("replay")).page
    content = small()
    content["nodes"][0]["inputs"] = {"steps": 20}
    content["nodes"][0]["peak_bytes"] = 5 * 2**30
    await choose(page, payload(content))
    timeline = page.get_by_role("slider", name="Timeline of a.perf.json")
    box = await timeline.bounding_box()
    assert box is not None
    chosen = page.get_by_role("region", name="Chosen")
    # rows lie below each other: look for the one of the nodes
    for down in range(40, int(box["height"]), 6):
        await page.mouse.click(box["x"] + 120 + (box["width"] - 120) * 0.2, box["y"] + down)
        if await chosen.filter(has_text="KSampler").count():
            break
    await expect(chosen).to_contain_text("steps")
    await expect(chosen).to_contain_text("5.0 GiB")
    await expect(chosen).to_contain_text("8.00 s")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (small() | {"version": "2.0"}, "update vramgate"),
        (small() | {"format": "x"}, "no recording of vramgate"),
        ({"traceEvents": []}, "ui.perfetto.dev"),
        (b"{", "no JSON"),
        (small() | {"nodes": [{"job": "j", "node": "1", "class": "A", "seconds": 1}]},
         '$.nodes[0] lacks "started_ms"'),
        (small() | {"jobs": [{"id": "j", "state": 5}]}, "$.jobs[0].state must be a text"),
        (small() | {"runs": [{"job": "j", "seconds": "x"}]},
         "$.runs[0].seconds must be a number"),
        (small() | {"memory": [{"worker": "w", "at_ms": [T0], "allocated": [], "reserved": [1]}]},
         "$.memory[0].allocated has 0 entries"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_file_is_told_precisely(
    open_page: Open, content: dict[str, Any] | bytes, told: str
) -> None:
    page = (await open_page("replay")).page
    await choose(page, payload(content))
    await expect(page.get_by_role("alert").filter(has_text="a.perf.json")).to_contain_text(told)


async def test_a_newer_minor_version_with_unknown_fields_is_shown(open_page: Open) -> None:
    page = (await open_page("replay")).page
    await choose(page, payload(small() | {"version": "1.9", "weather": "fine"}))
    await expect(page.get_by_role("region", name="a.perf.json")).to_be_visible()


async def test_a_link_replays_what_was_recorded_and_the_file_can_be_taken(
    open_page: Open,
) -> None:
    page = (await open_page(f"replay?{HOUR}")).page
    side = page.get_by_role("region", name="Recorded")
    await expect(side).to_contain_text("nodes")
    await expect(side.get_by_role("region", name="At the cursor")).to_contain_text("GPU")
    page = (await open_page("replay?last=6h")).page
    async with page.expect_download() as waiting:
        await page.get_by_role("link", name=".perf.json").click()
    path = await (await waiting.value).path()
    found = check_schema(path.read_bytes())
    assert found["about"]["redacted"]
    assert len(found["nodes"]) > 10


async def test_an_artist_replays_own_work_only(open_page: Open, studio: Studio) -> None:
    page = (await open_page("replay?last=24h", "anna")).page
    async with page.expect_download() as waiting:
        await page.get_by_role("link", name=".perf.json").click()
    content = (await (await waiting.value).path()).read_bytes()
    found = check_schema(content)
    assert {job["user"] for job in found["jobs"]} == {"user-1"}
    assert [one["user"] for one in found["usage"]] == ["user-1"]
    opened = await open_page(f"replay?{HOUR}&user=ben", "anna")
    opened.problems.expect("GET .*/perf.* 403")
    await expect(opened.page.get_by_role("alert").filter(has_text="admins")).to_be_visible()


async def test_a_day_of_5000_jobs_and_50000_nodes_adds_nothing_to_the_page(
    open_page: Open,
) -> None:
    page = (await open_page("replay")).page
    await choose(page, payload(large()))
    timeline = page.get_by_role("slider", name="Timeline of a.perf.json")
    await expect(timeline).to_be_visible()
    await timeline.focus()
    for key in ("End", "Home", "+", "+", "ArrowRight", "-", "0"):
        await page.keyboard.press(key)
    await expect(page.get_by_role("region", name="a.perf.json")).to_contain_text("50,000 nodes")
    # rows of things are on a canvas: the page stays as small as with one job
    assert await page.evaluate("document.querySelectorAll('*').length") < 700


def large() -> dict[str, Any]:
    content = small()
    day_ms = 86_400_000
    content["span"]["until_ms"] = T0 + day_ms
    step = day_ms // 5000
    begins = [T0 + n * step for n in range(5000)]
    content["jobs"] = [
        {"id": f"j{n}", "state": "SUCCEEDED", "submitted_ms": at, "ended_ms": at + 16_000}
        for n, at in enumerate(begins)
    ]
    content["runs"] = [
        {"job": f"j{n}", "worker": "host-0", "gpu": "gpu-0", "started_ms": at, "seconds": 16.0}
        for n, at in enumerate(begins)
    ]
    content["nodes"] = [
        {"job": f"j{n}", "node": str(m), "class": f"C{m}", "started_ms": at + 1600 * m,
         "seconds": 1.5}
        for n, at in enumerate(begins) for m in range(10)
    ]  # fmt: skip
    return content


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 380)])
async def test_nothing_serious_is_found_by_axe(open_page: Open, theme: str, width: int) -> None:
    opened = await open_page("replay", theme=theme, width=width)
    assert await opened.findings() == []
    await choose(opened.page, payload(small()))
    await expect(opened.page.get_by_role("region", name="a.perf.json")).to_be_visible()
    assert await opened.findings() == []
    wide = await opened.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width


async def test_a_jobs_page_leads_to_its_replay(open_page: Open) -> None:
    page = (await open_page("jobs?last=24h&state=SUCCEEDED")).page
    await page.get_by_role("table").locator("tbody a").first.click()
    await (
        page.get_by_role("group", name="Record this job").get_by_role("link", name="Replay").click()
    )
    await expect(page.get_by_role("heading", level=1, name="Replay")).to_be_visible()
    side = page.get_by_role("region", name="Job ")
    await expect(side).to_contain_text("1 run")
    await expect(side.get_by_role("slider")).to_be_visible()
