"""``/api/jobs``: what newer frontends ask instead of ``/queue`` and ``/history``.

The caller's own prompts in one list. Ids are prompt ids, as in the other routes; of mates'
jobs, where those are shared, ids of jobs.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from gateway.comfy_api import job_body
from gateway.comfy_api.ended import Ended, find_ended
from gateway.comfy_api.jobs_page import page
from gateway.comfy_api.jobs_query import read_query
from gateway.comfy_api.queue import cancel, ids, json_body
from gateway.comfy_api.stored import decode_body
from gateway.comfy_api.views import View, find_shared, views_of
from gateway.context import identity, services
from gateway.errors import BadRequest
from gateway.json_body import encoded_reply, json_reply
from scheduler.ledger_lists import JobEntry
from scheduler.states import ACTIVE, TERMINAL


def routes() -> list[web.RouteDef]:
    """Bare paths; ``gateway.app`` adds them under ``/api`` too."""
    return [
        web.get("/jobs", list_jobs),
        web.post("/jobs/cancel", cancel_jobs),
        web.get("/jobs/{prompt_id}", get_job),
        web.post("/jobs/{prompt_id}/cancel", cancel_job),
    ]


async def list_jobs(request: web.Request) -> web.Response:
    """The caller's jobs by status, newest first unless asked otherwise."""
    query = read_query(request.query)
    if isinstance(query, str):
        return _error(400, query)
    found, user = services(request), identity(request).user
    views = views_of(found, user)

    async def build() -> bytes:
        shown, total = await page(found, views, query)
        pagination = {
            "offset": query.offset,
            "limit": query.limit,
            "total": total,
            "has_more": query.offset + len(shown) < total,
        }
        jobs = [msgspec.Raw(job) for job in shown]
        return msgspec.json.encode({"jobs": jobs, "pagination": pagination})

    question = views.question(query.question)
    return encoded_reply(await found.answers.get(user, question, build, views.others))


async def get_job(request: web.Request) -> web.Response:
    """One job with its outputs and workflow."""
    found, user = services(request), identity(request).user
    prompt_id = request.match_info["prompt_id"]
    views = views_of(found, user)
    entry = await found.ledger.entry(user, prompt_id)
    if entry is not None and entry.job.state not in TERMINAL and entry.prompt is not None:
        return json_reply(_unfinished(views.own, entry, entry.prompt))
    own = await find_ended(found, user, prompt_id)
    match (views.own, own) if own is not None else await find_shared(found, views, prompt_id):
        case (view, Ended() as ended):
            return json_reply(_ended(view.ended(ended)))
        case (view, JobEntry(prompt=bytes(body)) as entry):
            return json_reply(_unfinished(view, entry, body))
        case _:
            return _error(404, "Job not found")


def _unfinished(view: View, entry: JobEntry, body: bytes) -> dict[str, Any]:
    job, stored = entry.job, view.prompt(decode_body(body))
    shown = job_body.unfinished(
        view.id(job.id, job.prompt_id),
        job.number,
        job.submitted_ms,
        job_body.workflow_id(stored),
        started_ms=job.started_ms if job.state in ACTIVE else None,
    )
    return {**shown, **job_body.workflow(stored)}


def _ended(ended: Ended) -> dict[str, Any]:
    stored = decode_body(ended.prompt)
    result = msgspec.json.decode(ended.result)
    more = {"outputs": result.get("outputs", {}), "execution_status": result.get("status")}
    return {**job_body.ended(ended), **more, **job_body.workflow(stored)}


async def cancel_job(request: web.Request) -> web.Response:
    """Cancel one of the caller's jobs, pending or running."""
    return await _cancel(request, [request.match_info["prompt_id"]])


async def cancel_jobs(request: web.Request) -> web.Response:
    """Cancel several of the caller's jobs."""
    try:
        named = (await json_body(request)).get("job_ids")
    except BadRequest as error:
        return _error(400, str(error))
    if not isinstance(named, list) or len(ids(named)) != len(named):
        return _error(400, "job_ids must be a list of ids.")
    return await _cancel(request, ids(named))


async def _cancel(request: web.Request, prompt_ids: list[str]) -> web.Response:
    found, user = services(request), identity(request).user
    jobs = [await found.ledger.find(user, prompt_id) for prompt_id in prompt_ids]
    changed = await cancel(found, user, (job for job in jobs if job is not None))
    return json_reply({"cancelled": changed})


def _error(status: int, message: str) -> web.Response:
    return json_reply({"error": message}, status)
