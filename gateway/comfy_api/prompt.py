"""``/prompt``: a posted graph becomes a durable job, or is refused as ComfyUI would.

Order: role → body → files the graph names → validation → estimate → admin's
limits → ``Ledger.submit``. Nothing is kept of a prompt that is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import structlog
from aiohttp import web

from gateway.admission_door import (
    Refusal,
    max_bytes,
    max_queued,
    refuse_count,
    refuse_for_now,
    refuse_infeasible,
    refuse_memory,
    refuse_prompt_id,
    refuse_role,
)
from gateway.comfy_api.inputs import FileKey, file_key, find_files, named_files
from gateway.comfy_api.posted import Posted, decode, understand
from gateway.comfy_api.stored import encode_body
from gateway.context import Identity, Services, identity, services
from gateway.json_body import json_reply
from gateway.need import Need, need_of
from scheduler.ledger import Duplicate, LedgerUnavailable, OverCap, Submitted
from scheduler.states import InputFile, NewJob
from scheduler.workflow.validation import Validation, validate

_log = structlog.get_logger()

_TOO_DEEP: Final = Refusal(
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
        return await _queue(found, who, posted)
    except LedgerUnavailable:
        return refuse_for_now().reply()
    except RecursionError:
        return _TOO_DEEP.reply()


async def _queue(found: Services, who: Identity, posted: Posted) -> web.Response:
    object_info = await found.info.object_info()
    names = named_files(posted.prompt, object_info)
    files = await find_files(found, who.user, names)
    checked = _check(posted, object_info, files)
    if not checked.ok:
        return json_reply({"error": checked.error, "node_errors": checked.node_errors}, 400)
    need = await need_of(found, checked, object_info, files)
    job = _job(found, who, posted, need, tuple(files.values()))
    settings = found.settings()
    refusal = refuse_memory(job.need_bytes, max_bytes(settings, who.user))
    if refusal is None and need.estimate.infeasible_bytes:
        refusal = refuse_infeasible(need.estimate, await found.ledger.pool())
    if refusal is not None:
        return refusal.reply()
    body = encode_body(
        prompt=checked.prompt,
        extra_data=posted.extra_data,
        outputs=checked.outputs,
        client_id=posted.client_id,
        secrets=posted.secrets,
    )
    limit = max_queued(settings, who.user, who.group)
    answer = await found.ledger.submit(job, body, max_queued=limit)
    return _answer(job, answer, checked)


def _check(
    posted: Posted, object_info: Mapping[str, Any], files: Mapping[FileKey, InputFile]
) -> Validation:
    """ComfyUI's validation; with no worker ever seen only the graph's outer shape."""
    if not object_info:
        return _check_shape(posted)

    def exists(kind: str, value: str) -> bool:
        key = file_key(kind, value)
        return key is not None and key in files

    return validate(posted.prompt, object_info, exists=exists, targets=posted.targets)


def _job(
    found: Services,
    who: Identity,
    posted: Posted,
    need: Need,
    inputs: tuple[InputFile, ...],
) -> NewJob:
    kind, booked = need.kind, need.estimate
    job_id = found.new_id()
    return NewJob(
        id=job_id,
        user=who.user,
        group=who.group,
        prompt_id=posted.prompt_id or job_id,
        client_id=posted.client_id,
        lane=posted.lane,
        front=posted.front,
        fingerprint=kind.fingerprint,
        models=kind.models,
        parents=kind.parents,
        need_bytes=booked.bytes,
        need_seconds=booked.seconds,
        needs_gpu=kind.needs_gpu,
        inputs=inputs,
        idempotency_key=posted.idempotency_key,
        deadline_s=posted.deadline_s,
        model_bytes=kind.model_bytes,
        load_seconds=booked.load_seconds,
        late_seconds=booked.late_seconds,
        curve=booked.curve,
        host_bytes=booked.host_bytes,
        guess=booked.guess,
    )


def _answer(
    job: NewJob, answer: Submitted | Duplicate | OverCap, checked: Validation
) -> web.Response:
    match answer:
        case Submitted(number=number):
            _log.info("prompt_queued", job=job.id, user=job.user, need_bytes=job.need_bytes)
            return _accepted(job.prompt_id, number, checked)
        case Duplicate(same_key=True, prompt_id=prompt_id, number=number):
            return _accepted(prompt_id, number, checked)
        case Duplicate():
            return refuse_prompt_id(job.prompt_id).reply()
        case OverCap(queued=queued, limit=limit):
            return refuse_count(queued, limit).reply()


def _accepted(prompt_id: str, number: int, checked: Validation) -> web.Response:
    return json_reply(
        {"prompt_id": prompt_id, "number": number, "node_errors": checked.node_errors}
    )


def _check_shape(posted: Posted) -> Validation:
    for node_id, node in posted.prompt.items():
        if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
            return _invalid(
                "invalid_prompt",
                "Cannot execute because a node is missing the class_type property.",
                f"Node ID '#{node_id}'",
            )
    if not posted.prompt:
        return _invalid("prompt_no_outputs", "Prompt has no outputs", "")
    outputs = tuple(posted.targets or ())
    return Validation(ok=True, error=None, node_errors={}, outputs=outputs, prompt=posted.prompt)


def _invalid(type_: str, message: str, details: str) -> Validation:
    error = {"type": type_, "message": message, "details": details, "extra_info": {}}
    return Validation(ok=False, error=error, node_errors={}, outputs=(), prompt={})
