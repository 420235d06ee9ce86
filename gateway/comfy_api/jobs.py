"""``/api/jobs``: what newer frontends ask instead of ``/queue`` and ``/history``.

The caller's own prompts in one list. Ids are prompt ids, as in the other routes.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from gateway.comfy_api import job_body
from gateway.comfy_api.ended import find_ended
from gateway.comfy_api.jobs_page import page
from gateway.comfy_api.jobs_query import read_query
from gateway.comfy_api.queue import cancel, ids, json_body
from gateway.comfy_api.stored import decode_body
from gateway.context import identity, services
from gateway.errors import BadRequest
from gateway.json_body import encoded_reply, json_reply
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

    async def build() -> bytes:
        shown, total = await page(found, user, query)
        pagination = {
            "offset": query.offset,
            "limit": query.limit,
            "total": total,
            "has_more": query.offset + len(shown) < total,
        }
        jobs = [msgspec.Raw(job) for job in shown]
        return msgspec.json.encode({"jobs": jobs, "pagination": pagination})

    return encoded_reply(await found.answers.get(user, query.question, build))


async def get_job(request: web.Request) -> web.Response:
    """One of the caller's jobs with its outputs and workflow."""
    found, user = services(request), identity(request).user
    prompt_id = request.match_info["prompt_id"]
    entry = await found.ledger.entry(user, prompt_id)
    if entry is not None and entry.job.state not in TERMINAL and entry.prompt is not None:
        job, stored = entry.job, decode_body(entry.prompt)
        shown = job_body.unfinished(
            job.prompt_id,
            job.number,
            job.submitted_ms,
            job_body.workflow_id(stored),
            started_ms=job.started_ms if job.state in ACTIVE else None,
        )
        return json_reply({**shown, **job_body.workflow(stored)})
    ended = await find_ended(found, user, prompt_id)
    if ended is None:
        return _error(404, "Job not found")
    stored = decode_body(ended.prompt)
    result = msgspec.json.decode(ended.result)
    more = {"outputs": result.get("outputs", {}), "execution_status": result.get("status")}
    return json_reply({**job_body.ended(ended), **more, **job_body.workflow(stored)})


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
