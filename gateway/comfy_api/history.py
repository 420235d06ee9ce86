"""``/history``: the caller's ended prompts, from the ledger first, then from the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Raw

from gateway.comfy_api.queue import ids, json_body
from gateway.comfy_api.stored import decode_body, queue_item
from gateway.context import Services, identity, services
from gateway.errors import BadRequest
from gateway.json_body import json_reply
from gateway.ports import PastJob
from scheduler.closing import failure_data, wordless_entry
from scheduler.states import TERMINAL, Job, JobState

#: most entries of one answer: each may hold a whole workflow of 100 KiB
_MOST: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One ended prompt, wherever it was found."""

    id: str
    prompt_id: str
    number: int
    state: JobState
    ended_ms: int
    #: body as submitted
    prompt: bytes
    #: JSON object ``{"outputs", "status", "meta"}``
    result: bytes
    #: zero where only the ledger would know
    submitted_ms: int = 0
    started_ms: int = 0

    def entry(self) -> dict[str, Any]:
        """ComfyUI's history entry."""
        stored = decode_body(self.prompt)
        parts = msgspec.json.decode(self.result, type=dict[str, Raw])
        return {"prompt": queue_item(self.number, self.prompt_id, stored), **parts}


def routes() -> list[web.RouteDef]:
    """Bare paths; ``gateway.app`` adds them under ``/api`` too."""
    return [
        web.get("/history", get_history),
        web.get("/history/{prompt_id}", get_entry),
        web.post("/history", post_history),
    ]


async def get_history(request: web.Request) -> web.Response:
    """Entries by prompt_id, oldest first; ``max_items`` alone means the newest.

    Raises:
        BadRequest: ``max_items`` or ``offset`` is no number.
    """
    found, user = services(request), identity(request).user
    max_items, offset = _number(request, "max_items"), _number(request, "offset")
    if max_items is not None and max_items <= 0:
        return json_reply({})
    if offset is None or offset < 0:
        newest = found.settings().store.keep_jobs if max_items is None else max_items
        entries = await newest_ended(found, user, min(newest, _MOST))
    else:
        entries = (await newest_ended(found, user, _MOST))[offset:]
        entries = entries[:max_items]
    return json_reply({one.prompt_id: one.entry() for one in entries})


async def get_entry(request: web.Request) -> web.Response:
    """One entry, or an empty object for an id that is not the caller's or has not ended."""
    one = await find_ended(
        services(request), identity(request).user, request.match_info["prompt_id"]
    )
    return json_reply({} if one is None else {one.prompt_id: one.entry()})


async def post_history(request: web.Request) -> web.Response:
    """``clear`` the caller's history, or ``delete`` some entries. Unknown ids do nothing.

    Raises:
        BadRequest: the body is no JSON object.
    """
    found, user = services(request), identity(request).user
    body = await json_body(request)
    if body.get("clear"):
        await found.ledger.hide(user, None)
        await found.archive.hide(user, None)
    prompt_ids = ids(body.get("delete"))
    if prompt_ids:
        jobs = [await found.ledger.find(user, prompt_id) for prompt_id in prompt_ids]
        ended = [job.id for job in jobs if job is not None and job.state in TERMINAL]
        await found.ledger.hide(user, ended)
        await found.archive.hide(user, prompt_ids)
    return web.Response()


async def newest_ended(found: Services, user: str, newest: int) -> list[Ended]:
    """The user's newest ended prompts, oldest first."""
    jobs = await found.ledger.ended(user, newest=newest)
    recent = await _with_bodies(found, jobs)
    missing = newest - len(recent)
    if missing <= 0:
        return recent
    # one more millisecond: a job of the same one may have left the ledger already
    before_ms = jobs[0].ended_ms + 1 if jobs else int(found.clock() * 1000) + 1
    seen = {one.id for one in recent}
    past = await found.archive.ended(user, newest=missing + len(recent), before_ms=before_ms)
    older = [_of_past(one) for one in past if one.id not in seen and _shows(one)]
    return older[-missing:] + recent


async def find_ended(found: Services, user: str, prompt_id: str) -> Ended | None:
    """One ended prompt of the user's, or None."""
    job = await found.ledger.find(user, prompt_id)
    if job is not None:
        if job.state not in TERMINAL:
            return None
        recent = await _with_bodies(found, [job])
        if recent:
            return recent[0]
    past = await found.archive.find(user, prompt_id)
    return _of_past(past) if past is not None and _shows(past) else None


async def _with_bodies(found: Services, jobs: Sequence[Job]) -> list[Ended]:
    """Jobs with what was posted and what came of it; cancelled unrun ones are left out."""
    job_ids = [job.id for job in jobs]
    bodies = await found.ledger.prompts(job_ids)
    results = await found.ledger.results(job_ids)
    ended = []
    for job, body, result in zip(jobs, bodies, results, strict=True):
        if result is None and job.state is JobState.FAILED:
            result = _failed_unrun(job)
        if body is not None and result is not None:
            ended.append(_of_job(job, body, result))
    return ended


def _of_job(job: Job, body: bytes, result: bytes) -> Ended:
    return Ended(
        id=job.id,
        prompt_id=job.prompt_id,
        number=job.number,
        state=job.state,
        ended_ms=job.ended_ms,
        prompt=body,
        result=result,
        submitted_ms=job.submitted_ms,
        started_ms=job.started_ms,
    )


def _of_past(past: PastJob) -> Ended:
    return Ended(
        id=past.id,
        prompt_id=past.prompt_id,
        number=past.number,
        state=JobState(past.state),
        ended_ms=past.ended_ms,
        prompt=past.prompt,
        result=past.result,
    )


def _shows(past: PastJob) -> bool:
    """ComfyUI keeps nothing of a prompt that was cancelled before it ran."""
    return past.result not in (b"", b"{}", b"null")


def _failed_unrun(job: Job) -> bytes:
    """A result for a job that the scheduler ended before any worker saw it."""
    reason = job.reason.value if job.reason is not None else ""
    data = failure_data(job.prompt_id, reason, job.wait_detail, at_ms=job.ended_ms)
    return msgspec.json.encode(wordless_entry([["execution_error", data]]))


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise BadRequest(f"{name} must be a number.") from None
