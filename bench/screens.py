"""Screenshots of every page over the simulated day, in both themes and on a phone.

``./run bench screens [--out FOLDER] [--only NAME …] [--docs]``. Needs Chromium; builds the page if it is
not built. With ``--docs`` the few that the documents show are written to ``docs/images``, in fewer
colours, so that they stay small.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.async_api import Browser

from bench.dashboard_browser import chromium
from dashboard import build_ui
from simulator.day.write import write_day
from store.engine import open_engine
from store.migrate import migrate
from tests.day import SEED, UNTIL_MS
from tests.studio import Studio, key_of, open_studio, work

_ROOT: Final = Path(__file__).parents[1]
DOCS: Final = _ROOT / "docs" / "images"
#: theme, width and height in pixels
LOOKS: Final = (("light", 1280, 900), ("dark", 1280, 900), ("light", 380, 800), ("dark", 380, 800))
#: of these the documents show the dark one, of all others the light one
_DARK: Final = frozenset({"gpus", "replay"})
#: what the documents show
SHOWN: Final = ("overview", "queue", "gpus", "job", "contention", "advice", "phone")
_COLOURS: Final = 96
_PHONE: Final = 400
#: charts are drawn, and a page that asks for what it needs has it
_SETTLE_S: Final = 2.5


@dataclass(frozen=True, slots=True)
class Shot:
    """One page: its name as a file, and its route."""

    name: str
    route: str


async def take(folder: Path, only: Sequence[str]) -> list[Path]:
    """Write all pictures into a folder; the names of those that are there then."""
    build_ui.build()
    with tempfile.TemporaryDirectory() as name:
        url = f"sqlite:///{Path(name) / 'store.db'}"
        engine = open_engine(url)
        await migrate(engine)
        await write_day(engine, SEED, UNTIL_MS)
        await engine.dispose()
        async with open_studio(url, Path(name), UNTIL_MS) as studio, chromium() as browser:
            await work(studio)
            shots = [one for one in await _pages(browser, studio) if not only or one.name in only]
            return [
                await _one(browser, studio, shot, look, folder) for shot in shots for look in LOOKS
            ]


async def _pages(browser: Browser, studio: Studio) -> list[Shot]:
    """All that the navigation leads to, and what is behind a job and a GPU."""
    context = await _context(browser, studio, *LOOKS[0])
    page = await context.new_page()
    await page.clock.install(time=studio.now_ms() / 1000)
    await page.goto(f"{studio.url}/dashboard/")
    links = page.locator("nav.pages a")
    await links.first.wait_for()
    routes = [
        (await link.get_attribute("href") or "").removeprefix("#/") for link in await links.all()
    ]
    # the slowest of the day has the most to show
    span = f"from={UNTIL_MS - 86_400_000}&until={UNTIL_MS}"
    told = await context.request.get(f"{studio.url}/dashboard/api/v1/jobs?{span}&rows=200")
    jobs: list[Any] = (await told.json())["jobs"]
    slow = max(jobs, key=lambda job: job.get("run_seconds") or 0)
    await context.close()
    shots = [Shot(route, route) for route in routes]
    return [*shots, Shot("job", f"jobs/{slow['id']}"), Shot("gpu", "gpus/GPU-a0?last=24h&by=user")]


async def _one(
    browser: Browser, studio: Studio, shot: Shot, look: tuple[str, int, int], folder: Path
) -> Path:
    context = await _context(browser, studio, *look)
    page = await context.new_page()
    await page.clock.install(time=studio.now_ms() / 1000)
    await page.goto(f"{studio.url}/dashboard/#/{shot.route}")
    await page.get_by_role("heading", level=1).wait_for()
    await asyncio.sleep(_SETTLE_S)
    theme, width, _ = look
    file = folder / f"{shot.name}-{theme}-{width}.png"
    # a phone's bar stays where the window ends: a longer picture would have it in its middle
    await page.screenshot(path=file, full_page=width > _PHONE)
    await context.close()
    return file


async def _context(browser: Browser, studio: Studio, theme: str, width: int, height: int) -> Any:
    scheme: Any = theme
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, timezone_id="UTC"
    )
    await context.request.post(f"{studio.url}/login", form={"key": key_of("olga")})
    return context


def shrink(files: Sequence[Path], folder: Path, height: int = 1100) -> None:
    """The pictures of the documents: cut to a page's beginning, in few colours."""
    folder.mkdir(parents=True, exist_ok=True)
    by_name = {file.stem: file for file in files}
    for name in SHOWN:
        theme = "dark" if name in _DARK else "light"
        stem = "overview-dark-380" if name == "phone" else f"{name}-{theme}-1280"
        if stem not in by_name:
            continue
        image = Image.open(io.BytesIO(by_name[stem].read_bytes())).convert("RGB")
        image = image.crop((0, 0, image.width, min(image.height, height)))
        few = image.quantize(_COLOURS, dither=Image.Dither.NONE)
        few.save(folder / f"{name}.png", optimize=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=_ROOT / "out" / "screens", help="folder")
    parser.add_argument("--only", nargs="*", default=(), help="names of pages")
    parser.add_argument("--docs", action="store_true", help="also write docs/images")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    files = asyncio.run(take(options.out, options.only))
    print(f"{len(files)} pictures in {options.out}")
    if options.docs:
        shrink(files, DOCS)
        for file in sorted(DOCS.glob("*.png")):
            print(f"  {file.name:20} {file.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
