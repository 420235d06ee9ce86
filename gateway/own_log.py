"""A user's own events as log lines, from the ledger's records and from its stream. Pure.

ComfyUI's log tells everybody of everybody's work. This one tells a user what became of the
own prompts, by id: no words of a prompt, nobody else's, and no paths of hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

import msgspec

from scheduler.ledger import Event, EventKind
from scheduler.states import Gpu, Job, JobState

#: lines that are kept for reading, as ComfyUI's
MOST_LINES: Final = 300

_AGAIN: Final = {
    "oom": "ran out of memory; it will be tried again with more",
    "lost": "lost its worker; it will be tried again",
    "preempted": "made room for another prompt; it goes on later",
    "returned": "was given back by its worker; it will be tried again",
}
_PLAIN: Final = {
    EventKind.SUBMITTED: "queued",
    EventKind.HELD: "held",
    EventKind.UNHELD: "let go on",
    EventKind.MOVED: "moved to another place of your queue",
    EventKind.CANCELLING: "is being cancelled",
}

Closing = Sequence[tuple[str, dict[str, Any]]]


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One line."""

    at_ms: int
    text: str

    def entry(self, zone: tzinfo | None = None) -> dict[str, str]:
        """As ComfyUI's log has it; the terminal shows ``m`` alone."""
        at = datetime.fromtimestamp(self.at_ms / 1000, zone)
        return {"t": at.isoformat(), "m": f"[{at:%H:%M:%S}] {self.text}\n"}


def of_job(job: Job, gpus: Mapping[str, Gpu], closing: Closing, now_ms: int) -> list[Line]:
    """All that is known of one job.

    Args:
        job: the ledger's record.
        gpus: by id.
        closing: its closing messages, where it has failed.
        now_ms: server time, for why it waits.
    """
    name = _name(job.prompt_id)
    lines = [Line(job.submitted_ms, f"{name} queued")]
    waiting = waits(job, now_ms) if job.state is JobState.QUEUED else None
    if waiting is not None:
        lines.append(waiting)
    elif job.started_ms:
        lines.append(Line(job.started_ms, name + _started(job.gpu, gpus) + _tries(job)))
    if job.ended_ms:
        reason = job.reason.value if job.reason is not None else ""
        seconds = job.run_seconds or max(0, job.ended_ms - (job.started_ms or job.ended_ms)) / 1000
        lines.append(Line(job.ended_ms, name + _ended(job.state, reason, seconds, closing)))
    return lines


def waits(job: Job, at_ms: int) -> Line | None:
    """Why a job waits; None: nobody has said yet."""
    if job.wait_reason is None:
        return None
    why = job.wait_detail or job.wait_reason.value.replace("_", " ")
    return Line(at_ms, _name(job.prompt_id) + _clean(f" waits: {why}"))


def of_event(event: Event, gpus: Mapping[str, Gpu], started_ms: int = 0) -> Line | None:
    """What happened just now; None: nothing that a user needs to read.

    Args:
        event: of the user who reads it.
        gpus: by id.
        started_ms: when the attempt that ends was claimed; 0: not known.
    """
    text = _PLAIN.get(event.kind)
    if text is not None:
        text = " " + text
    elif event.kind is EventKind.CLAIMED:
        text = _started(event.gpu, gpus)
    elif event.kind is EventKind.REQUEUED:
        text = " " + _AGAIN.get(event.reason, "will be tried again")
    elif event.kind is EventKind.SETTLED and event.state is not None:
        seconds = (event.at_ms - started_ms) / 1000 if started_ms else None
        text = _ended(event.state, event.reason, seconds, read_closing(event.frames))
    return None if text is None else Line(event.at_ms, _name(event.prompt_id) + text)


def newest(lines: Iterable[Line]) -> list[Line]:
    """In the order of time, and no more than a log keeps."""
    return sorted(lines, key=lambda line: line.at_ms)[-MOST_LINES:]


def read_closing(frames: bytes) -> Closing:
    """Closing frames of an event; what cannot be read says nothing here."""
    return _read(lambda: msgspec.json.decode(frames, type=list[tuple[str, dict[str, Any]]]))


def read_result(result: bytes | None) -> Closing:
    """The messages of a history entry."""
    return _read(lambda: msgspec.json.decode(result or b"", type=_Entry).status.messages)


class _Status(msgspec.Struct):
    messages: list[tuple[str, dict[str, Any]]] = []


class _Entry(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


def _read(decode: Callable[[], Closing]) -> Closing:
    try:
        return decode()
    except msgspec.DecodeError:
        return []


def _started(gpu_id: str, gpus: Mapping[str, Gpu]) -> str:
    gpu = gpus.get(gpu_id)
    return " started" if gpu is None else _clean(f" started on GPU {gpu.index} of {gpu.agent}")


def _tries(job: Job) -> str:
    told = []
    if job.ooms:
        told.append("ran out of memory before")
    if job.losses:
        told.append(f"lost {job.losses} of its workers before")
    if job.preemptions:
        told.append("made room for another prompt before")
    return f" (try {job.attempt}: {', '.join(told)})" if told else ""


def _ended(state: JobState, reason: str, seconds: float | None, closing: Closing) -> str:
    ran = "" if seconds is None else f" after {seconds:.1f} s"
    if state is JobState.SUCCEEDED:
        return f" done{ran}"
    if state is JobState.CANCELLED:
        return " cancelled"
    return f" failed{ran}: {reason or 'failed'}" + _where(closing)


def _where(closing: Closing) -> str:
    """The node that failed and what it raised; not what it said, which may quote a prompt."""
    data = next((data for type_, data in closing if type_ == "execution_error"), {})
    node, class_, error = (
        str(data.get(key) or "") for key in ("node_id", "node_type", "exception_type")
    )
    where = f" in node {node} ({class_})" if node else ""
    return _clean(where + (f": {error}" if node and error else ""))


def _name(prompt_id: str) -> str:
    return _clean(f"prompt {prompt_id}")


def _clean(text: str) -> str:
    """Ids may be a client's own: they start no line and move no terminal's cursor."""
    return "".join(char if char.isprintable() else "?" for char in text)
