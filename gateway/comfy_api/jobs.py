"""``/api/jobs``: what newer frontends ask instead of ``/queue`` and ``/history``.

The caller's own prompts in one list. Ids are prompt ids, as in the other routes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Raw, Struct

from gateway.comfy_api.history import Ended, find_ended, newest_ended
from gateway.comfy_api.queue import cancel, ids, json_body
from gateway.comfy_api.stored import StoredPrompt, decode_body, queue_item
from gateway.context import Services, identity, services
from gateway.errors import BadRequest
from gateway.json_body import json_reply
from scheduler.states import ACTIVE, TERMINAL, Job, JobState

_ENDED: Final = {
    JobState.SUCCEEDED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}
_STATUSES: Final = frozenset({"pending", "in_progress", *_ENDED.values()})
_SORTS: Final = ("created_at", "execution_duration")
_ORDERS: Final = ("desc", "asc")
#: ended jobs that one list looks through
_MOST: Final = 1000
#: output lists that a browser can show
_SHOWN: Final = frozenset({"images", "gifs", "video", "videos", "audio", "3d"})


class _Workflow(Struct):
    id: str | None = None


class _PngInfo(Struct):
    workflow: _Workflow | None = None


class _Extra(Struct):
    extra_pnginfo: _PngInfo | None = None


_decode_extra = msgspec.json.Decoder(_Extra).decode


@dataclass(frozen=True, slots=True)
class _Entry:
    """One job of the list, and what it is sorted and filtered by."""

    body: dict[str, Any]
    created_ms: int
    duration_ms: int
    status: str
    workflow_id: str | None


@dataclass(frozen=True, slots=True)
class _Query:
    statuses: frozenset[str]
    workflow_id: str | None
    sort_by: str
    descending: bool
    limit: int | None
    offset: int


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
    query = _read_query(request.query)
    if isinstance(query, str):
        return _error(400, query)
    entries = [
        entry
        for entry in await _entries(services(request), identity(request).user, query.statuses)
        if entry.status in query.statuses and query.workflow_id in (None, entry.workflow_id)
    ]
    by_duration = query.sort_by == "execution_duration"
    entries.sort(
        key=lambda entry: entry.duration_ms if by_duration else entry.created_ms,
        reverse=query.descending,
    )
    end = None if query.limit is None else query.offset + query.limit
    shown = entries[query.offset : end]
    pagination = {
        "offset": query.offset,
        "limit": query.limit,
        "total": len(entries),
        "has_more": query.offset + len(shown) < len(entries),
    }
    return json_reply({"jobs": [entry.body for entry in shown], "pagination": pagination})


async def get_job(request: web.Request) -> web.Response:
    """One of the caller's jobs with its outputs and workflow."""
    found, user = services(request), identity(request).user
    prompt_id = request.match_info["prompt_id"]
    job = await found.ledger.find(user, prompt_id)
    if job is not None and job.state not in TERMINAL:
        (body,) = await found.ledger.prompts([job.id])
        if body is not None:
            stored = decode_body(body)
            return json_reply({**_unfinished(job, stored).body, **_workflow(stored)})
    ended = await find_ended(found, user, prompt_id)
    if ended is None:
        return _error(404, "Job not found")
    stored = decode_body(ended.prompt)
    result = msgspec.json.decode(ended.result)
    more = {"outputs": result.get("outputs", {}), "execution_status": result.get("status")}
    return json_reply({**_ended(ended).body, **more, **_workflow(stored)})


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


async def _entries(found: Services, user: str, statuses: frozenset[str]) -> list[_Entry]:
    """Jobs of at least these statuses; the ledger is not asked for what is not wanted."""
    entries = []
    if statuses & {"pending", "in_progress"}:
        jobs = await found.ledger.unfinished(user)
        bodies = await found.ledger.prompts([job.id for job in jobs])
        entries += [
            _unfinished(job, decode_body(body))
            for job, body in zip(jobs, bodies, strict=True)
            if body is not None
        ]
    if statuses & frozenset(_ENDED.values()):
        entries += [_ended(one) for one in await newest_ended(found, user, _MOST)]
    return entries


def _unfinished(job: Job, stored: StoredPrompt) -> _Entry:
    status = "in_progress" if job.state in ACTIVE else "pending"
    workflow_id = _workflow_id(stored.extra_data)
    body = _pruned(
        id=job.prompt_id,
        status=status,
        priority=job.number,
        create_time=job.submitted_ms,
        execution_start_time=job.started_ms or None,
        outputs_count=0,
        previewable_outputs_count=0,
        workflow_id=workflow_id,
    )
    return _Entry(body, job.submitted_ms, 0, status, workflow_id)


def _ended(one: Ended) -> _Entry:
    result = msgspec.json.decode(one.result)
    files = list(_files(result.get("outputs") or {}))
    shown = [file for file in files if file["mediaType"] in _SHOWN]
    # a saved file says more than a temporary preview of it
    shown.sort(key=lambda file: file.get("type") != "output")
    created = one.submitted_ms or one.ended_ms
    started = one.started_ms or created
    workflow_id = _workflow_id(decode_body(one.prompt).extra_data)
    body = _pruned(
        id=one.prompt_id,
        status=_ENDED[one.state],
        priority=one.number,
        create_time=created,
        execution_start_time=started,
        execution_end_time=one.ended_ms,
        execution_error=_execution_error(result.get("status")),
        outputs_count=len(files),
        previewable_outputs_count=len(shown),
        preview_output=shown[0] if shown else None,
        workflow_id=workflow_id,
    )
    return _Entry(body, created, one.ended_ms - started, _ENDED[one.state], workflow_id)


def _files(outputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for node, output in outputs.items():
        for kind, items in output.items() if isinstance(output, dict) else ():
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict) and "filename" in item:
                    yield {**item, "nodeId": node, "mediaType": kind}


def _execution_error(status: Any) -> Any:
    messages = status.get("messages") if isinstance(status, dict) else None
    return next((data for type_, data in messages or () if type_ == "execution_error"), None)


def _workflow_id(extra_data: Raw) -> str | None:
    """The id that the frontend gave the workflow; reads past everything else."""
    try:
        extra = _decode_extra(extra_data)
    except msgspec.ValidationError:
        return None
    info = extra.extra_pnginfo
    return info.workflow.id if info is not None and info.workflow is not None else None


def _workflow(stored: StoredPrompt) -> dict[str, Any]:
    _, _, prompt, extra_data, _ = queue_item(0, "", stored)
    return {"workflow": {"prompt": prompt, "extra_data": extra_data}}


def _pruned(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _read_query(asked: Mapping[str, str]) -> _Query | str:
    """The query, or what is wrong with it."""
    named = [part for part in asked.get("status", "").split(",") if part]
    if not set(named) <= _STATUSES:
        return f"status must be some of {', '.join(sorted(_STATUSES))}"
    sort_by, order = asked.get("sort_by", _SORTS[0]), asked.get("sort_order", _ORDERS[0])
    if sort_by not in _SORTS:
        return f"sort_by must be {' or '.join(_SORTS)}"
    if order not in _ORDERS:
        return f"sort_order must be {' or '.join(_ORDERS)}"
    try:
        limit = int(asked["limit"]) if "limit" in asked else None
        offset = int(asked.get("offset", "0"))
    except ValueError:
        return "limit and offset must be numbers"
    if offset < 0 or (limit is not None and limit < 1):
        return "limit must be at least 1 and offset at least 0"
    return _Query(
        statuses=frozenset(named) or _STATUSES,
        workflow_id=asked.get("workflow_id"),
        sort_by=sort_by,
        descending=order == "desc",
        limit=limit,
        offset=offset,
    )


def _error(status: int, message: str) -> web.Response:
    return json_reply({"error": message}, status)
