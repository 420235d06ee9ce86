"""``/prompt``: a posted graph becomes a durable job, or is refused as ComfyUI would.

Order: role → body → files the graph names → validation → estimate → admin's
limits → ``Ledger.submit``. Nothing is kept of a prompt that is refused.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from aiohttp import web

from gateway.admission_door import (
    Refusal,
    max_queued,
    refuse_count,
    refuse_for_now,
    refuse_pool,
    refuse_prompt_id,
    refuse_role,
)
from gateway.comfy_api.booking import book
from gateway.comfy_api.posted import Posted, decode, understand
from gateway.comfy_api.stored import encode_body
from gateway.context import Identity, Services, identity, services
from gateway.json_body import json_reply
from gateway.waiting_room import claim_sockets
from scheduler.ledger import Duplicate, LedgerUnavailable, OverCap, Submitted
from scheduler.states import NewJob
from scheduler.workflow.validation import Validation

_log = structlog.get_logger()

TOO_DEEP: Final = Refusal(
    400,
    "invalid_prompt",
    "The graph cannot be followed",
    "Its nodes refer to one another in a circle, or its values are nested too deeply.",
)


def routes() -> list[web.RouteDef]:
    """Bare paths; ``gateway.app`` adds them under ``/api`` too."""
    return [web.get("/prompt", get_prompt), web.post("/prompt", post_prompt)]


async def get_prompt(request: web.Request) -> web.Response:
    """How many of the caller's prompts have not ended."""
    remaining = await services(request).ledger.remaining(identity(request).user)
    return json_reply({"exec_info": {"queue_remaining": remaining}})


async def post_prompt(request: web.Request) -> web.Response:
    """Queue a prompt: 200 with its id and number, or a refusal in ComfyUI's error shape."""
    who, found = identity(request), services(request)
    refusal = refuse_role(who.role)
    if refusal is not None:
        return refusal.reply()
    decoded = decode(await request.read())
    posted = understand(decoded, request.headers) if not isinstance(decoded, Refusal) else decoded
    if isinstance(posted, Refusal):
        return posted.reply()
    try:
        await claim_sockets(request, posted.client_id)
        return await _queue(found, who, posted)
    except LedgerUnavailable:
        return refuse_for_now().reply()
    except RecursionError:
        return TOO_DEEP.reply()


async def _queue(found: Services, who: Identity, posted: Posted) -> web.Response:
    booked = await book(found, who, posted)
    if isinstance(booked, Validation):
        return json_reply({"error": booked.error, "node_errors": booked.node_errors}, 400)
    if booked.refusal is not None:
        return booked.refusal.reply()
    full = await _refuse_full_pool(found)
    if full is not None:
        return full.reply()
    job, checked = booked.job, booked.checked
    body = encode_body(
        prompt=checked.prompt,
        extra_data=posted.extra_data,
        outputs=checked.outputs,
        client_id=posted.client_id,
        secrets=posted.secrets,
    )
    limit = max_queued(found.settings(), who.user, who.group)
    answer = await found.ledger.submit(job, body, max_queued=limit)
    if isinstance(answer, Submitted):
        found.pool_count.accepted()
    return _answer(job, answer, checked)


async def _refuse_full_pool(found: Services) -> Refusal | None:
    """The cap on all users' prompts together; each gateway may pass it by a little."""
    limit = found.settings().scheduler.max_queued
    if limit is None:
        return None
    return refuse_pool(await found.pool_count.against(limit), limit)


def _answer(
    job: NewJob, answer: Submitted | Duplicate | OverCap, checked: Validation
) -> web.Response:
    match answer:
        case Submitted(number=number):
            # after the answer: its client waits for nothing that is only told to us
            asyncio.get_running_loop().call_soon(_tell_queued, job)
            return _accepted(job.prompt_id, number, checked)
        case Duplicate(same_key=True, prompt_id=prompt_id, number=number):
            return _accepted(prompt_id, number, checked)
        case Duplicate():
            return refuse_prompt_id(job.prompt_id).reply()
        case OverCap(queued=queued, limit=limit):
            return refuse_count(queued, limit).reply()


def _tell_queued(job: NewJob) -> None:
    _log.info("prompt_queued", job=job.id, user=job.user, need_bytes=job.need_bytes)


def _accepted(prompt_id: str, number: int, checked: Validation) -> web.Response:
    return json_reply(
        {"prompt_id": prompt_id, "number": number, "node_errors": checked.node_errors}
    )
