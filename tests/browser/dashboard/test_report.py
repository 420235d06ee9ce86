"""A report, opened from a disk without a network."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from dashboard.history.samples import fold_gpus, fold_pool
from dashboard.perf_json.recording import Recording
from dashboard.perf_json.redaction import Names
from dashboard.perf_json.report import MOST_BYTES, PLACE, report
from simulator.day.play import Days
from store.engine import open_engine
from store.recordings import Scope, SqlRecordings
from store.samples import SqlSamples
from store.users import SqlUsers
from tests.browser.dashboard.conftest import Opened
from tests.browser.problems import Problems
from tests.day import FROM_MS, UNTIL_MS
from tests.unit.dashboard.perf_json.files import T0, small

DAY = Scope(from_ms=FROM_MS, until_ms=UNTIL_MS)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def day_report(
    built: Path, day_file: tuple[Path, Days], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A report of the simulated day."""
    engine = open_engine(f"sqlite:///{day_file[0]}")
    samples = SqlSamples(engine, fold_gpus, fold_pool)
    recording = Recording(SqlRecordings(engine), samples, SqlUsers(engine), clock=time.time)
    path = tmp_path_factory.mktemp("report") / "report.html"
    page = await report(recording, DAY, Names(), built / "report.html")
    await engine.dispose()
    path.write_bytes(page)
    return path


Opener = Callable[..., Coroutine[Any, Any, Opened]]


@pytest_asyncio.fixture(loop_scope="session")
async def from_disk(browser: Browser) -> AsyncIterator[Opener]:
    """Opens a file offline; nothing may be asked for but the file itself."""
    contexts = []
    asked: list[str] = []
    opened: list[Opened] = []

    async def opener(path: Path, *, theme: Any = "light", width: int = 1280) -> Opened:
        size: Any = {"width": width, "height": 900}
        context = await browser.new_context(viewport=size, color_scheme=theme, offline=True)
        contexts.append(context)
        page: Page = await context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        opened.append(Opened(page, Problems(page, "file://")))
        await page.goto(path.as_uri())
        await page.get_by_role("heading", level=1).wait_for()
        return opened[-1]

    yield opener
    wrong = [one.problems.unexpected() for one in opened]
    for context in contexts:
        await context.close()
    assert wrong == [[] for _ in opened]
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}


def size_of(path: Path) -> int:
    return path.stat().st_size


async def test_a_days_report_opens_offline_and_has_the_days_figures(
    day_report: Path, day_file: tuple[Path, Days], from_disk: Opener
) -> None:
    assert size_of(day_report) < MOST_BYTES
    page = (await from_disk(day_report)).page
    figures = {
        await one.locator("dt").inner_text(): await one.locator("dd").inner_text()
        for one in await page.locator("dl.totals > div").all()
    }
    assert int(figures["Jobs"].split()[0].replace(",", "")) > 100
    assert figures["GPUs at work"].endswith("%")
    for heading in ("Where the time went", "Slower than usual", "Timeline", "Memory of the GPUs"):
        await page.get_by_role("heading", name=heading).wait_for()
    users = page.get_by_role("table", name="Usage by user")
    assert "user-1" in await users.inner_text()
    slow = page.get_by_role("table", name="Slow nodes")
    await expect(slow.locator("tbody tr")).to_have_count(20)
    await expect(slow).to_contain_text("fell back to tiles")


async def test_the_reports_timeline_is_steered_by_keys(day_report: Path, from_disk: Opener) -> None:
    page = (await from_disk(day_report)).page
    timeline = page.get_by_role("slider", name="Timeline of the whole time")
    await timeline.focus()
    await page.keyboard.press("Home")
    await expect(timeline).to_have_attribute("aria-valuenow", "0")
    for _ in range(30):
        await page.keyboard.press("ArrowRight")
    after = await timeline.get_attribute("aria-valuenow")
    assert int(after or 0) == pytest.approx(86_400_000 * 0.3, rel=0.01)
    assert "held" in await page.get_by_role("region", name="At the cursor").inner_text()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 380)])
async def test_people_with_and_without_eyes_can_read_it(
    day_report: Path, from_disk: Opener, theme: str, width: int
) -> None:
    opened = await from_disk(day_report, theme=theme, width=width)
    assert await opened.findings() == []
    wide = await opened.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width


def damaged(whole: Path, path: Path) -> Path:
    text = whole.read_text()
    place = text.index('id="recording">') + 400
    path.write_text(f"{text[:place]}AAAA{text[place + 8 :]}")
    return path


async def test_a_damaged_report_says_so(
    day_report: Path, from_disk: Opener, tmp_path: Path
) -> None:
    broken = damaged(day_report, tmp_path / "broken.html")
    context = (await from_disk(day_report)).page.context
    page = await context.new_page()
    await page.goto(broken.as_uri())
    await page.get_by_role("alert").wait_for()
    assert "cannot be shown" in await page.get_by_role("alert").inner_text()


def packed(page: Path, content: dict[str, Any], path: Path) -> Path:
    """A report with this recording inside."""
    data = base64.b64encode(gzip.compress(json.dumps(content).encode())).decode()
    path.write_text(page.read_text().replace(PLACE, data))
    return path


async def test_alerts_and_advice_are_read_and_nothing_in_them_runs(
    built: Path, from_disk: Opener, tmp_path: Path
) -> None:
    evil = "</script><img src=x onerror=document.title='gone'>"
    content = small()
    content["alerts"] = [
        {"rule": f"slow{evil}", "subject": "gpu:gpu-0", "since_ms": T0, "value": 9.0,
         "worst": 12.345678, "threshold": 5.0, "severity": "critical"}
    ]  # fmt: skip
    content["advice"] = [
        {"kind": "vae", "title": f"VAEDecode fell back{evil}", "since_ms": T0, "gain": 7200.0,
         "gain_in": "gpu_time", "remedies": ["Use tiles."]}
    ]  # fmt: skip
    content["nodes"][0]["class"] = evil
    page = (await from_disk(packed(built / "report.html", content, tmp_path / "r.html"))).page
    advice = page.get_by_role("list").filter(has_text="VAEDecode fell back")
    await expect(advice).to_contain_text("about 2 h 00 min of GPU time a day")
    await expect(advice).to_contain_text("Use tiles.")
    alerts = page.get_by_role("table", name="Alerts")
    await expect(alerts).to_contain_text("12.35")
    await expect(alerts).to_contain_text("critical")
    assert await page.title() == "vramgate report"
    assert await page.locator("img").count() == 0
