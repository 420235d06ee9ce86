"""A recording inside the page that shows it: one HTML file that opens from a disk, offline.

``dashboard.build_ui`` makes the page (``static/report.html``); here its place for data is filled. The
data are compressed and in base64, so that no text of theirs can end the element that they are in.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import zlib
from pathlib import Path
from typing import Final

from dashboard.perf_json.recording import Budget, Recording
from dashboard.perf_json.redaction import Names
from dashboard.perf_json.writing import PerfJson
from store.recordings import Scope

TEMPLATE: Final = Path(__file__).resolve().parents[1] / "static" / "report.html"
#: Where the data go.
PLACE: Final = "<!--recording-->"
#: A report is something that people send by mail.
MOST_BYTES: Final = 5_000_000
_BUDGET: Final = Budget(
    jobs=20_000, nodes=100_000, moves=10_000, points=1000, samples=1500, values=False
)
#: Entries that are compressed at a time: some milliseconds, then others have their turn.
_AT_A_TIME: Final = 500
_GZIP: Final = 16 + zlib.MAX_WBITS


class NotBuilt(Exception):
    """There is no page to put a recording into."""


async def report(
    recording: Recording, scope: Scope, names: Names, template: Path = TEMPLATE
) -> bytes:
    """The file, smaller than ``MOST_BYTES``: with less and less in it until it is.

    Raises:
        NotBuilt: the page was not built; the message says how.
    """
    try:
        page = await asyncio.to_thread(template.read_text, encoding="utf-8")
    except OSError as error:
        raise NotBuilt(
            "the report's page is not built; run `python -m dashboard.build_ui` once"
        ) from error
    before, _, after = page.partition(PLACE)
    budget = _BUDGET
    while True:
        data = await _packed(recording, scope, names, budget)
        if len(before) + len(data) + len(after) < MOST_BYTES or budget.nodes < 100:
            return before.encode() + data + after.encode()
        budget = dataclasses.replace(
            budget,
            jobs=budget.jobs // 2,
            nodes=budget.nodes // 2,
            moves=budget.moves // 2,
            points=budget.points // 2,
        )


async def _packed(recording: Recording, scope: Scope, names: Names, budget: Budget) -> bytes:
    text, squeeze = PerfJson(), zlib.compressobj(9, wbits=_GZIP)
    packed = bytearray(squeeze.compress(text.begin(recording.head(scope, names))))
    waiting: list[bytes] = []
    async for entry in recording.entries(scope, names, budget):
        waiting.append(text.add(entry))
        if len(waiting) >= _AT_A_TIME:
            packed += await asyncio.to_thread(squeeze.compress, b"".join(waiting))
            waiting.clear()
    packed += squeeze.compress(b"".join(waiting) + text.end()) + squeeze.flush()
    return base64.b64encode(packed)
