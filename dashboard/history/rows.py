"""What the recorder writes, as rows: pure functions from events, jobs and results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from scheduler.ledger import Event, EventKind, FileRecord
from scheduler.states import Job
from scheduler.warmth import main_model

Row = dict[str, Any]
#: the field of a prompt's body that is for its worker alone
_SECRETS: Final = b'"secrets"'
#: (type, subfolder, filename) in the user's names
OutputName = tuple[str, str, str]


def settled(events: Sequence[Event]) -> dict[str, Event]:
    """The events that ended a job, by job id."""
    return {event.job: event for event in events if event.kind is EventKind.SETTLED}


def without_secrets(body: bytes) -> bytes:
    """A prompt's body without keys of other services that its client sent for the worker alone.

    The ledger has to hold them until the prompt has run; nobody needs them in a history.
    """
    if _SECRETS not in body:
        return body
    try:
        parts = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return body  # no gateway's: what is in it, nobody knows
    parts.pop("secrets", None)
    return msgspec.json.encode(parts)


def job_row(job: Job, prompt: bytes | None, result: bytes | None) -> Row:
    """An ended job."""
    model = main_model(job)
    return {
        "id": job.id,
        "user_name": job.user,
        "group_name": job.group,
        "prompt_id": job.prompt_id,
        "client_id": job.client_id,
        "number": job.number,
        "state": job.state.value,
        "reason": job.reason.value if job.reason else None,
        "lane": job.lane.value,
        "fingerprint": job.fingerprint,
        "attempts": job.attempt,
        "losses": job.losses,
        "ooms": job.ooms,
        "worker": job.worker,
        "gpu": job.gpu,
        "needs_gpu": job.needs_gpu,
        "need_bytes": job.need_bytes,
        "need_seconds": job.need_seconds,
        "run_seconds": job.run_seconds,
        "reserved_bytes": job.reserved_bytes,
        "peak_bytes": job.peak_bytes,
        "submitted_ms": job.submitted_ms,
        "admitted_ms": job.admitted_ms,
        "started_ms": job.started_ms,
        "ended_ms": job.ended_ms,
        "prompt": None if prompt is None else without_secrets(prompt),
        "result": result,
        "model": model,
        "model_bytes": dict(zip(job.models, job.model_bytes, strict=False)).get(model, 0),
        "load_seconds": job.load_seconds,
    }


def bare_job_row(event: Event) -> Row:
    """An ended job whose record is gone from the ledger: what its last event still says."""
    return {
        "id": event.job,
        "user_name": event.user,
        "group_name": "",
        "prompt_id": event.prompt_id,
        "client_id": event.client_id,
        "number": 0,
        "state": event.state.value if event.state else "",
        "reason": event.reason or None,
        "lane": "",
        "fingerprint": "",
        "attempts": event.attempt,
        "losses": 0,
        "ooms": 0,
        "worker": event.worker,
        "gpu": event.gpu,
        "needs_gpu": bool(event.gpu),
        "need_bytes": 0,
        "need_seconds": 0.0,
        "run_seconds": 0.0,
        "reserved_bytes": 0,
        "peak_bytes": 0,
        "submitted_ms": 0,
        "admitted_ms": 0,
        "started_ms": 0,
        "ended_ms": event.at_ms,
        "prompt": None,
        "result": None,
        "model": "",
        "model_bytes": 0,
        "load_seconds": 0.0,
    }


def attempt_row(event: Event) -> Row | None:
    """What one event says of a try; None: nothing. Each kind names columns of its own."""
    if not event.attempt:
        return None
    key: Row = {"job_id": event.job, "attempt": event.attempt, "user_name": event.user}
    match event.kind:
        case EventKind.ADMITTED:
            return {
                **key,
                "worker": event.worker,
                "gpu": event.gpu,
                "admitted_ms": event.at_ms,
                "reserved_bytes": event.bytes,
            }
        case EventKind.CLAIMED:
            return {**key, "claimed_ms": event.at_ms}
        # without a worker it ended in the queue, after the attempt was closed
        case EventKind.REQUEUED | EventKind.SETTLED if event.worker:
            state = event.state.value if event.state else None
            return {
                **key,
                "ended_ms": event.at_ms,
                "state": state,
                "reason": event.reason or None,
                "cost_us": event.cost,
            }
        case _:
            return None


def file_row(user: str, job: str, record: FileRecord) -> Row:
    """Where an output lies."""
    return {
        "user_name": user,
        "type": record.type,
        "subfolder": record.subfolder,
        "filename": record.filename,
        "agent": record.agent,
        "worker": record.worker,
        "worker_subfolder": record.worker_subfolder,
        "worker_filename": record.worker_filename,
        "job_id": job,
    }


def output_names(result: bytes | None) -> list[OutputName]:
    """The files that a result names, each once.

    Custom nodes nest them in lists and objects of their own: everything below
    ``outputs`` that has a ``filename`` is one. A result that is no JSON has none.
    """
    try:
        outputs = json.loads(result or b"{}").get("outputs")
    except (ValueError, AttributeError, RecursionError):
        return []
    return list(dict.fromkeys(_names(outputs)))


def _names(root: Any) -> Iterator[OutputName]:
    # A stack of our own: nesting is the client's choice.
    stack = [root]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            filename = value.get("filename")
            if isinstance(filename, str) and filename:
                subfolder, type_ = value.get("subfolder"), value.get("type")
                yield (
                    type_ if isinstance(type_, str) else "output",
                    subfolder if isinstance(subfolder, str) else "",
                    filename,
                )
            stack.extend(reversed(value.values()))
        elif isinstance(value, list):
            stack.extend(reversed(value))
