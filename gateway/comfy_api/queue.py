"""``/queue`` and ``/interrupt``: the caller's own unfinished prompts, nobody else's.

A body-less interrupt, which scripts send, stops what runs of the caller; in a
shared ComfyUI it stops whatever runs. ``docs/decisions`` lists the difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web

from gateway.comfy_api.stored import decode_body, queue_item
from gateway.context import Services, identity, services
from gateway.errors import BadRequest
from gateway.json_body import NotJson, json_reply, read_json
from scheduler.states import ACTIVE, Job, JobState

#: cancellations under way at once, when a user clears a long queue
_PARALLEL: Final = 16


def routes() -> list[web.RouteDef]:
    """Bare paths; ``gateway.app`` adds them under ``/api`` too."""
    return [
        web.get("/queue", get_queue),
        web.post("/queue", post_queue),
        web.post("/interrupt", interrupt),
    ]


async def get_queue(request: web.Request) -> web.Response:
    """The caller's prompts: running ones, and pending ones in their order."""
    ledger, user = services(request).ledger, identity(request).user
    jobs = await ledger.unfinished(user)
    bodies = await ledger.prompts([job.id for job in jobs])
    running: list[Any] = []
    pending: list[Any] = []
    for job, body in zip(jobs, bodies, strict=True):
        if body is None:
            continue  # ended and trimmed since it was listed
        item = queue_item(job.number, job.prompt_id, decode_body(body))
        (running if job.state in ACTIVE else pending).append(item)
    return json_reply({"queue_running": running, "queue_pending": pending})


async def post_queue(request: web.Request) -> web.Response:
    """``clear`` pending prompts, or ``delete`` some. Unknown and running ids do nothing.

    Raises:
        BadRequest: the body is no JSON object.
    """
    found, user = services(request), identity(request).user
    body = await json_body(request)
    doomed: list[Job] = []
    if body.get("clear"):
        doomed += await found.ledger.unfinished(user)
    for prompt_id in ids(body.get("delete")):
        job = await found.ledger.find(user, prompt_id)
        if job is not None:
            doomed.append(job)
    await cancel(found, user, (job for job in doomed if job.state is JobState.QUEUED))
    return web.Response()


async def interrupt(request: web.Request) -> web.Response:
    """Stop one running prompt of the caller's, or without an id all that run."""
    found, user = services(request), identity(request).user
    prompt_id = _prompt_id(await request.read())
    if prompt_id is None:
        jobs = await found.ledger.unfinished(user)
    else:
        job = await found.ledger.find(user, prompt_id)
        jobs = [job] if job is not None else []
    await cancel(found, user, (job for job in jobs if job.state in ACTIVE))
    return web.Response()


async def cancel(found: Services, user: str, jobs: Iterable[Job]) -> bool:
    """Cancel the user's jobs, several at a time; True: at least one was changed."""
    gate = asyncio.Semaphore(_PARALLEL)

    async def one(job_id: str) -> bool:
        async with gate:
            return (await found.ledger.cancel(user, job_id)).changed

    unique = dict.fromkeys(job.id for job in jobs)
    return any(await asyncio.gather(*(one(job_id) for job_id in unique)))


async def json_body(request: web.Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        BadRequest: it is none.
    """
    try:
        body = read_json(await request.read())
    except NotJson:
        body = None
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    return body


def ids(value: Any) -> list[str]:
    """The strings of a posted list of ids."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _prompt_id(body: bytes) -> str | None:
    """The prompt to interrupt. ComfyUI takes anything it cannot read as a body-less call."""
    try:
        decoded = read_json(body)
    except NotJson:
        return None
    prompt_id = decoded.get("prompt_id") if isinstance(decoded, dict) else None
    return None if not prompt_id else str(prompt_id)
