"""The dashboard's pages in a checkout: built once, beside the start, never in its way."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cli.lifeline import die_with
from cli.logbook import LogBook

_ROOT: Final = Path(__file__).parents[1]
_SOURCE: Final = _ROOT / "dashboard" / "ui"
_BUILT: Final = _ROOT / "dashboard" / "static" / "index.html"
#: what a build reads, besides everything below src/
_FILES: Final = (
    "package.json",
    "package-lock.json",
    "index.html",
    "tsconfig.json",
    "vite.config.ts",
    "page_styles.ts",
    "report.html",
    "vite.report.config.ts",
)


def need_building() -> bool:
    """Whether this is a checkout whose pages are missing or older than their source."""
    if not (_SOURCE / "package.json").is_file():  # installed from a wheel, which brings them
        return False
    if not _BUILT.is_file():
        return True
    built = _BUILT.stat().st_mtime
    sources = [*(_SOURCE / "src").rglob("*"), *(_SOURCE / name for name in _FILES)]
    return any(source.is_file() and source.stat().st_mtime > built for source in sources)


async def build(book: LogBook, say: Callable[[str], None]) -> None:
    """Build them; on failure say where to look. Everything but the pages works without."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "dashboard.build_ui"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with(os.getpid()),
    )
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above
        async for line in process.stdout:
            book.note("ui", line)
        code = await process.wait()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, 9)
    if code:
        say(
            f"the dashboard's pages could not be built (see {book.path('ui')}; `./run ui` tries "
            "again); everything else works"
        )
    else:
        say("the dashboard's pages are built")
