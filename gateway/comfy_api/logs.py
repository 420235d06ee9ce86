"""``/internal/logs*``: what became of the caller's own prompts, instead of a worker's log.

Lines are made of the ledger's records when somebody asks, so every gateway has the same.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from gateway import log_feed
from gateway.comfy_api.queue import json_body
from gateway.context import Services, identity, services
from gateway.hub import MAX_CLIENT_ID
from gateway.json_body import json_reply
from gateway.own_log import Line, newest, of_job, read_result
from scheduler.states import JobState

#: jobs that are told of: those that ended last, and the first that have not
_ENDED: Final = 75
_QUEUED: Final = 25
#: what a terminal is that has said nothing of itself
_SIZE: Final = {"cols": 80, "rows": 24}


def internal_routes() -> list[web.RouteDef]:
    """ComfyUI does not repeat these under ``/api``."""
    return [
        web.get("/internal/logs", logs),
        web.get("/internal/logs/raw", raw_logs),
        web.patch("/internal/logs/subscribe", subscribe),
    ]


async def logs(request: web.Request) -> web.Response:
    """The log as one text."""
    entries = [line.entry() for line in await _lines(services(request), identity(request).user)]
    return json_reply("".join(f"{entry['t']} - {entry['m']}" for entry in entries))


async def raw_logs(request: web.Request) -> web.Response:
    """As ``logs``, in the terminal panel's shape."""
    lines = await _lines(services(request), identity(request).user)
    return json_reply({"entries": [line.entry() for line in lines], "size": _SIZE})


async def subscribe(request: web.Request) -> web.Response:
    """``{"clientId", "enabled"}``: ``logs`` frames for the caller's sockets of that id.

    Raises:
        BadRequest: the body is no JSON object.
    """
    body, found = await json_body(request), services(request)
    client_id = body.get("clientId")
    if isinstance(client_id, str) and len(client_id) <= MAX_CLIENT_ID:
        user, wanted = identity(request).user, bool(body.get("enabled"))
        await log_feed.want(found.hub, found.ledger, user, client_id, wanted=wanted)
    return web.Response()


async def _lines(found: Services, user: str) -> list[Line]:
    ledger = found.ledger
    jobs = [
        *await ledger.ended(user, newest=_ENDED),
        *await ledger.unfinished(user, first=_QUEUED),
    ]
    failed = [job.id for job in jobs if job.state is JobState.FAILED]
    results = dict(zip(failed, await ledger.results(failed), strict=True))
    pool = found.agents.pool
    now_ms = int(found.clock() * 1000)
    return newest(
        line
        for job in jobs
        for line in of_job(job, pool.gpus, read_result(results.get(job.id)), now_ms)
    )
