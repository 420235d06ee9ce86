"""Curves of GPUs and of the queue: ``/api/v1/samples/gpus`` and ``/api/v1/samples/pool``."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from dashboard.api.asking import Asker, Clock, Who, answer, asker, refusing, span
from dashboard.api.described import SPAN, Described, inquiry, read
from dashboard.api.samples_shapes import Curve, GpuCurve, GpuCurves, Holder, PoolCurve
from dashboard.overview import OTHERS
from store.samples import SqlSamples

Row = Mapping[str, Any]

_GPU_COLUMNS: Final = (
    "total_bytes",
    "foreign_bytes",
    "resident_bytes",
    "reserved_bytes",
    "free_bytes",
    "least_free_bytes",
    "utilisation",
    "temperature",
    "power_mw",
)
_POOL_COLUMNS: Final = (
    "queued",
    "running",
    "waiting_users",
    "most_queued",
    "most_running",
    "longest_wait_ms",
)


class Samples:
    """Serves curves; what GPUs did is everybody's to see, for whom is not."""

    def __init__(self, samples: SqlSamples, who: Who, clock: Clock = time.time) -> None:
        self._samples = samples
        self._who = who
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get("/api/v1/samples/gpus", refusing(self.gpus)),
            web.get("/api/v1/samples/pool", refusing(self.pool)),
        ]

    async def gpus(self, request: web.Request) -> web.Response:
        """All GPUs, or ``?gpu=ID`` with finer steps."""
        asking, wanted = asker(self._who, request), span(request, self._clock)
        series = await self._samples.gpus(
            wanted.from_ms, wanted.until_ms, gpu=request.query.get("gpu")
        )
        rows: dict[str, list[Row]] = defaultdict(list)
        for row in series.rows:
            rows[row["gpu"]].append(row)
        curves: GpuCurves = {
            "from_ms": wanted.from_ms,
            "until_ms": wanted.until_ms,
            "step_s": series.step_s,
            "gpus": {
                gpu: _gpu_curve(points, series.gaps.get(gpu, ()), asking)
                for gpu, points in rows.items()
            },
        }
        return answer(request, curves)

    async def pool(self, request: web.Request) -> web.Response:
        """Counts over everybody."""
        wanted = span(request, self._clock)
        series = await self._samples.pool(wanted.from_ms, wanted.until_ms)
        curve: PoolCurve = {
            "from_ms": wanted.from_ms,
            "until_ms": wanted.until_ms,
            "step_s": series.step_s,
            "curve": _curve(series.rows, _POOL_COLUMNS, series.gaps.get("", ())),
        }
        return answer(request, curve)


def _curve(rows: Sequence[Row], columns: Iterable[str], gaps: Iterable[tuple[int, int]]) -> Curve:
    return {
        "at_ms": [row["at_ms"] for row in rows],
        "columns": {name: [row[name] for row in rows] for name in columns},
        "gaps": list(gaps),
    }


def _gpu_curve(rows: Sequence[Row], gaps: Iterable[tuple[int, int]], asking: Asker) -> GpuCurve:
    return {**_curve(rows, _GPU_COLUMNS, gaps), "holders": _holders(rows, asking)}


def _holders(rows: Sequence[Row], asking: Asker) -> list[Holder]:
    """Columns by worker and user, with zero where a worker held nothing for that user."""
    held: dict[tuple[str, str], list[int]] = {}
    for index, row in enumerate(rows):
        for worker, user, amount in json.loads(row["holders"]):
            seen = user if asking.sees_all or user in ("", asking.user) else OTHERS
            column = held.setdefault((worker, seen), [0] * len(rows))
            column[index] += amount
    return [
        {"worker": worker, "user": user, "bytes": column}
        for (worker, user), column in sorted(held.items())
    ]


def describe() -> Described:
    """For the document of the API."""
    gpu = inquiry("gpu", "The id of one GPU, which then has finer steps.")
    return Described(
        {
            "/api/v1/samples/gpus": {"get": read("GPUs over time", GpuCurves, *SPAN, gpu)},
            "/api/v1/samples/pool": {"get": read("Queue and running jobs", PoolCurve, *SPAN)},
        },
        (GpuCurves, PoolCurve),
    )
