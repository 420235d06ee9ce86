"""``/queue`` and ``/interrupt``: the caller's own unfinished prompts; mates' are shown where shared.

A body-less interrupt, which scripts send, stops what runs of the caller; in a
shared ComfyUI it stops whatever runs. ``docs/decisions`` lists the difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final

from aiohttp import web

from gateway.comfy_api.stored import decode_body, item_tail
from gateway.comfy_api.views import View, views_of
from gateway.context import Services, identity, services
from gateway.errors import BadRequest
from gateway.json_body import NotJson, encoded_reply, read_json
from gateway.roster import Waiting, bare_item
from scheduler.states import ACTIVE, Job, JobState

#: pending prompts of one answer that are shown with all that was posted: each may hold a
#: workflow of 100 KiB, and browsers ask again at every change
_WHOLE: Final = 200
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
    """The caller's prompts: running ones, and pending ones in their order; then its mates'.

    ``max_items`` and ``offset`` (not ComfyUI's) show a part of the pending ones. Beyond the
    first ``_WHOLE`` of an answer an item has its number, id and client_id only.

    Raises:
        BadRequest: ``max_items`` or ``offset`` is no number.
    """
    found, user = services(request), identity(request).user
    views = views_of(found, user)
    most, offset = number(request, "max_items"), number(request, "offset")
    start = max(offset or 0, 0)
    end = None if most is None else start + max(most, 0)

    async def build() -> bytes:
        running: list[bytes] = []
        pending: list[bytes] = []
        passed = 0
        for view in views:
            roster = await found.rosters.read(view.owner)
            until = None if end is None else max(end - passed, 0)
            waiting = roster.waiting[max(start - passed, 0) : until]
            passed += len(roster.waiting)
            whole = [(job.id, job.prompt_id) for job in roster.active]
            most_whole = max(_WHOLE - len(pending), 0)
            whole += [(one.id, one.head.prompt_id) for one in waiting[:most_whole]]
            tails = await _tails(found, view, whole)
            running += [b"[%d,%b" % (job.number, tails[job.id]) for job in roster.active]
            first, rest = waiting[:most_whole], waiting[most_whole:]
            pending += [b"[%d,%b" % (one.number, tails[one.id]) for one in first]
            pending += [one.item for one in rest] if view.own else map(_of_mate, rest)
        parts = (b",".join(running), b",".join(pending))
        return b'{"queue_running":[%b],"queue_pending":[%b]}' % parts

    question = views.question(f"queue {start} {end}")
    return encoded_reply(await found.answers.get(user, question, build, views.others))


async def _tails(found: Services, view: View, jobs: Sequence[tuple[str, str]]) -> dict[str, bytes]:
    """Items without their numbers, by job; each body is read and put together once."""
    shown = found.rosters.shown
    tails = {job_id: shown.get(("item", job_id, view.mark)) for job_id, _ in jobs}
    new = [job for job in jobs if tails[job[0]] is None]
    bodies = await found.ledger.prompts([job_id for job_id, _ in new])
    for (job_id, prompt_id), body in zip(new, bodies, strict=True):
        name = view.id(job_id, prompt_id)
        # None: ended and trimmed since it was listed
        tail = (
            bare_item(0, name, None).removeprefix(b"[0,")
            if body is None
            else item_tail(name, view.prompt(decode_body(body)))
        )
        tails[job_id] = tail
        shown.put(("item", job_id, view.mark), tail, len(tail))
    return {job_id: tail for job_id, tail in tails.items() if tail is not None}


def _of_mate(one: Waiting) -> bytes:
    return bare_item(one.number, one.id, None)


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


def number(request: web.Request, name: str) -> int | None:
    """A whole number of the query, None where it is not there.

    Raises:
        BadRequest: it is none.
    """
    text = request.query.get(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise BadRequest(f"{name} must be a number.") from None


def _prompt_id(body: bytes) -> str | None:
    """The prompt to interrupt. ComfyUI takes anything it cannot read as a body-less call."""
    try:
        decoded = read_json(body)
    except NotJson:
        return None
    prompt_id = decoded.get("prompt_id") if isinstance(decoded, dict) else None
    return None if not prompt_id else str(prompt_id)
