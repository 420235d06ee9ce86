"""What a posted graph is booked with: the same for one that is queued and one that is tried.

Order: classes the admin denies → files the graph names → validation → estimate → admin's limits. Nothing is written.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.admission_door import (
    Refusal,
    max_bytes,
    refuse_infeasible,
    refuse_late,
    refuse_memory,
)
from gateway.comfy_api.inputs import FileKey, file_key, find_files, named_files
from gateway.comfy_api.posted import Posted
from gateway.context import Identity, Services
from gateway.denied import refuse
from gateway.need import Need, need_of
from gateway.scattered import refuse_scattered
from gateway.second_look import allowed, doubtful
from gateway.sight import Sight, sight_of
from scheduler.catalogue import requires
from scheduler.rehearsal import WINDOW, plan_config, rehearse
from scheduler.states import InputFile, NewJob
from scheduler.trial import queued
from scheduler.workflow.validation import Validation, validate


@dataclass(frozen=True, slots=True)
class Booking:
    """A valid graph as it would be queued."""

    job: NewJob
    need: Need
    checked: Validation
    #: why it must not be queued all the same; None: it may
    refusal: Refusal | None


async def book(found: Services, who: Identity, posted: Posted) -> Booking | Validation:
    """Book a posted graph.

    Returns:
        The booking, or what is wrong with the graph in ComfyUI's words.

    Raises:
        LedgerUnavailable: what was learned cannot be read.
        RecursionError: its nodes refer to one another in a circle, or it is nested too deeply.
    """
    sight = sight_of(found.settings(), who)
    denied = refuse(posted.prompt, sight.denied)
    if denied is not None:
        return denied
    object_info = await found.info.object_info(sight)
    names = named_files(posted.prompt, object_info)
    files = await find_files(found, who.user, names)
    checked = await _checked(found, sight, posted, object_info, files)
    if not checked.ok:
        return checked
    need = await need_of(found, checked, object_info, files)
    named = requires(checked.prompt, object_info, checked.outputs)
    job = _job(found, who, posted, need, tuple(files.values()), named)
    refusal = refuse_memory(job.need_bytes, max_bytes(found.settings(), who.user))
    if refusal is None and need.estimate.infeasible_bytes:
        refusal = refuse_infeasible(need.estimate, await found.ledger.pool())
    if refusal is None:
        refusal = await refuse_scattered(found, named)
    if refusal is None and not posted.accept_late:
        refusal = await _refuse_late(found, job)
    return Booking(job, need, checked, refusal)


async def _refuse_late(found: Services, new: NewJob) -> Refusal | None:
    """Whether it would miss its deadline as things are.

    One with an idempotency key may be queued already: it must be answered as the first time.
    """
    if new.deadline_s is None or new.idempotency_key is not None:
        return None
    snapshot = await found.ledger.snapshot(WINDOW)
    trust = await found.ledger.trust()
    config = plan_config(found.settings(), snapshot)
    start = await rehearse(queued(new, snapshot), snapshot, config, trust, time.monotonic)
    if start is None:  # nobody can say
        return None
    return refuse_late((start.p50_ms - snapshot.now_ms) / 1000, new.deadline_s)


async def _checked(
    found: Services,
    sight: Sight,
    posted: Posted,
    object_info: Mapping[str, Any],
    files: Mapping[FileKey, InputFile],
) -> Validation:
    """ComfyUI's validation; values of node packs that it refuses are tried on a worker."""
    checked = _check(posted, object_info, files)
    nodes = doubtful(checked, object_info)
    if not nodes:
        return checked
    good = await allowed(found.agents, sight, posted.prompt, nodes)
    return _check(posted, object_info, files, good) if good else checked


def _check(
    posted: Posted,
    object_info: Mapping[str, Any],
    files: Mapping[FileKey, InputFile],
    trusted: frozenset[str] = frozenset(),
) -> Validation:
    """By the rules alone; with no worker ever seen only the graph's outer shape."""
    if not object_info:
        return _check_shape(posted)

    def exists(kind: str, value: str) -> bool:
        key = file_key(kind, value)
        return key is not None and key in files

    return validate(
        posted.prompt, object_info, exists=exists, targets=posted.targets, trusted=trusted
    )


def _job(
    found: Services,
    who: Identity,
    posted: Posted,
    need: Need,
    inputs: tuple[InputFile, ...],
    named: str,
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
        requires=named,
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
