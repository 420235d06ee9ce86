"""``POST /api/v1/estimate``: what a workflow would need, where it fits, when it would start.

The figures are those that ``POST /prompt`` would book, as the same code makes them; it is
handed in, since the dashboard may not know the gateway. Nothing is queued or kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web

from config.settings import Settings
from dashboard import shapes
from dashboard.live import UNAVAILABLE, Who
from scheduler.forecast import Forecast
from scheduler.ledger import Ledger, LedgerUnavailable
from scheduler.rehearsal import WINDOW, plan_config, rehearse
from scheduler.states import NewJob, Snapshot
from scheduler.trial import Place, places, queued

PATH: Final = "/api/v1/estimate"
#: Largest body; the largest graphs people share have a tenth of this.
MOST_BYTES: Final = 8 * 2**20
#: Estimates made at the same time by one process; each costs a moment of its only thread.
_PARALLEL: Final = 2

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A workflow as it would be booked."""

    job: NewJob
    #: below this it is not started
    floor_bytes: int
    #: True: this very kind was never measured
    cold: bool
    #: runs of this very kind that the figures rest on
    runs: int
    #: why it would be refused all the same; "": it would be queued
    refused: str


@dataclass(frozen=True, slots=True)
class NoTrial:
    """What is wrong with a workflow."""

    message: str
    #: by node, as ComfyUI words them
    node_errors: Json


#: Books the graph of a request (decoded JSON, as for ``POST /prompt``), queueing nothing.
Try = Callable[[web.Request, Any], Awaitable[Trial | NoTrial]]


class Estimates:
    """Serves ``PATH``."""

    def __init__(
        self, ledger: Ledger, settings: Callable[[], Settings], who: Who, try_out: Try
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._who = who
        self._try = try_out
        self._turn = asyncio.Semaphore(_PARALLEL)

    async def handle(self, request: web.Request) -> web.Response:
        """200 with the estimate; 400, 413 or 503 with ``error``."""
        user, _ = self._who(request)
        body = await _read(request)
        if body is None:
            return _answer(413, {"error": f"A workflow may have {MOST_BYTES >> 20} MiB."})
        graph = graph_of(body)
        if isinstance(graph, str):
            return _answer(400, {"error": graph})
        try:
            async with self._turn:
                tried = await self._try(request, graph)
                if isinstance(tried, NoTrial):
                    wrong: shapes.WrongWorkflow = {
                        "error": tried.message,
                        "node_errors": tried.node_errors,
                    }
                    return _answer(400, wrong)
                return _answer(200, await self._estimate(user, tried))
        except LedgerUnavailable:
            return _answer(503, {"error": UNAVAILABLE})

    async def _estimate(self, user: str, trial: Trial) -> shapes.Estimate:
        snapshot = await self._ledger.snapshot(WINDOW)
        trust = await self._ledger.trust()
        config = plan_config(self._settings(), snapshot)
        job, start = queued(trial.job, snapshot), None
        if not trial.refused:
            start = await rehearse(job, snapshot, config, trust, time.monotonic)
        return {
            "user": user,
            **needs(trial),
            "refused": trial.refused,
            "places": [_place(place, snapshot) for place in places(job, snapshot, config)],
            "start": None if start is None else _when(start, snapshot),
            "forecasts": {"coverage": round(trust.coverage, 3), "scored": trust.scored},
        }


def needs(trial: Trial) -> shapes.Needs:
    """What a workflow needs, JSON-ready: the part that is the same on every pool."""
    job = trial.job
    sizes = job.model_bytes or (0,) * len(job.models)
    return {
        "needs_gpu": job.needs_gpu,
        "cold": trial.cold,
        "runs": trial.runs,
        "bytes": {
            "need": job.need_bytes,
            "floor": trial.floor_bytes,
            "curve": [{"bytes": step.bytes, "seconds": step.seconds} for step in job.curve],
        },
        "host_bytes": job.host_bytes,
        "seconds": {"run": job.need_seconds, "late": job.late_seconds, "load": job.load_seconds},
        "models": [
            {"name": name, "bytes": size or None}
            for name, size in zip(job.models, sizes, strict=False)
        ],
    }


def graph_of(body: bytes) -> Json | str:
    """The posted workflow under ``prompt``, or a sentence on what was posted instead."""
    try:
        found = msgspec.json.decode(body)
    except RecursionError:
        return "The JSON is nested too deeply."
    except (msgspec.DecodeError, UnicodeError) as error:
        return f"The body is no JSON: {str(error)[:200]}"
    if not isinstance(found, dict):
        return 'Post a JSON object: the workflow, or {"prompt": the workflow}.'
    if isinstance(found.get("nodes"), list):
        return (
            "This is a workflow as the UI saves it. Export it for programs: in ComfyUI choose "
            "Workflow, then Export (API), and send that file."
        )
    graph = found["prompt"] if isinstance(found.get("prompt"), dict) else found
    if not graph or not all(
        isinstance(node, dict) and "class_type" in node for node in graph.values()
    ):
        return "This is no workflow in API format: each node needs a class_type."
    return found if graph is not found else {"prompt": graph}


async def _read(request: web.Request) -> bytes | None:
    """The body; None: too large."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)


def _place(place: Place, snapshot: Snapshot) -> shapes.PlaceRow:
    gpu = next((gpu for gpu in snapshot.gpus if gpu.id == place.id), None)
    return {
        "id": place.id,
        "name": gpu.name if gpu else "CPU",
        "agent": gpu.agent if gpu else place.id.rpartition("-")[0],
        "index": gpu.index if gpu else None,
        "fits": place.fit.value,
        "capacity_bytes": place.capacity_bytes,
    }


def _when(start: Forecast, snapshot: Snapshot) -> shapes.Start:
    worker = next(one for one in snapshot.workers if one.id == start.worker)
    return {
        "p50_seconds": (start.p50_ms - snapshot.now_ms) / 1000,
        "p90_seconds": (start.p90_ms - snapshot.now_ms) / 1000,
        "worker": worker.id,
        "gpu": worker.gpu,
    }


def _answer(
    status: int, body: shapes.Failed | shapes.WrongWorkflow | shapes.Estimate
) -> web.Response:
    answer = web.json_response(body, status=status)
    answer.headers["Cache-Control"] = "no-store"
    return answer
