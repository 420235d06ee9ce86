"""How an attempt ended, made from what the worker's history says. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scheduler.closing import error_data, failed_frames, interrupted_frames, wordless_entry
from scheduler.ledger import Ending, Outcome
from scheduler.probed import Probed
from scheduler.states import FailReason
from worker_agent import loose_json
from worker_agent.comfy_client import Rejected
from worker_agent.frames import CLOSING
from worker_agent.redact import hide_paths, redact_message
from worker_agent.tenancy import FileKey, Names

#: after out of memory the next reservation exceeds what was used by a fifth,
#: at least by this (one allocator segment of a large latent)
_OOM_FACTOR: Final = 1.2
_OOM_STEP: Final = 256 * 2**20
_OOM_MESSAGES: Final = ("Allocation on device", "CUDA out of memory", "HIP out of memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured while the attempt ran."""

    #: 0: not measured
    peak_bytes: int
    run_seconds: float
    #: what it had been promised
    reserved_bytes: int
    #: nothing of earlier jobs is in ``peak_bytes``
    clean: bool = False
    #: what a probe told; None: nothing
    probed: Probed | None = None

    @property
    def retry_bytes(self) -> int:
        """Reservation to ask for after out of memory."""
        # the peak may be that of a moment too short to be seen: the promise was not enough
        used = max(self.peak_bytes, self.reserved_bytes)
        return max(int(used * _OOM_FACTOR), used + _OOM_STEP)


def concluded(
    entry: Mapping[str, Any],
    told: Sequence[list[Any]],
    names: Names,
    files: Mapping[FileKey, FileKey],
    figures: Figures,
) -> Outcome:
    """The outcome of a prompt that the worker's history knows.

    Args:
        entry: the history entry, worker's names.
        told: closing messages seen on the socket, user's names.
        names: both sides' names.
        files: the entry's outputs by both names.
        figures: what was measured.
    """
    messages = _messages(entry, names, files)
    ending, reason = _judge(entry, messages)
    status = entry.get("status")
    result = {
        "outputs": names.to_user(entry.get("outputs") or {}, files),
        "status": {**(status if isinstance(status, dict) else {}), "messages": messages},
        "meta": names.to_user(entry.get("meta") or {}, files),
    }
    return _outcome(ending, reason, result, _closing(told, messages), figures)


def refused(rejected: Rejected, names: Names, figures: Figures, now_ms: int) -> Outcome:
    """The outcome of a prompt that the worker found invalid (HTTP 400)."""
    node_id, node = next(iter(rejected.node_errors.items()), ("", {}))
    message = _refusal_text(rejected, node if isinstance(node, dict) else {})
    data = error_data(
        names.prompt_id,
        hide_paths(message, names.user),
        str(rejected.error.get("type", "invalid_prompt")),
        node=node_id,
        node_type=str(node.get("class_type", "")) if isinstance(node, dict) else "",
        at_ms=now_ms,
    )
    closing = [["execution_error", data]]
    return _outcome(Ending.FAILED, FailReason.NODE_ERROR, wordless_entry(closing), closing, figures)


def failed(
    message: str, reason: FailReason, names: Names, figures: Figures, now_ms: int
) -> Outcome:
    """The outcome of an attempt that we could not run or had to stop."""
    closing = failed_frames(names.prompt_id, reason, message, at_ms=now_ms)
    return _outcome(Ending.FAILED, reason, wordless_entry(closing), closing, figures)


def cancelled(names: Names, node: str, node_type: str, figures: Figures, now_ms: int) -> Outcome:
    """The outcome of a prompt that was interrupted without a word from the worker."""
    closing = interrupted_frames(names.prompt_id, node=node, node_type=node_type, at_ms=now_ms)
    return _outcome(Ending.CANCELLED, None, wordless_entry(closing), closing, figures)


def lost(figures: Figures) -> Outcome:
    """The outcome of an attempt whose worker is gone; nobody is shown anything."""
    return _outcome(Ending.LOST, FailReason.LOST, wordless_entry([]), [], figures)


def returned(figures: Figures) -> Outcome:
    """The outcome of an attempt that its agent gives back: it stops, or was told to make room."""
    return _outcome(Ending.RETURNED, None, wordless_entry([]), [], figures)


# ── parts ────────────────────────────────────────────────────────────────────


def _messages(
    entry: Mapping[str, Any], names: Names, files: Mapping[FileKey, FileKey]
) -> list[list[Any]]:
    status = entry.get("status")
    rows = status.get("messages") if isinstance(status, dict) else None
    return [
        [row[0], redact_message(row[0], names.to_user(row[1], files), names.user)]
        for row in rows or []
        if isinstance(row, list) and len(row) == 2
    ]


def _judge(
    entry: Mapping[str, Any], messages: Sequence[list[Any]]
) -> tuple[Ending, FailReason | None]:
    by_type = {row[0]: row[1] for row in messages}
    status = entry.get("status")
    word = status.get("status_str") if isinstance(status, dict) else None
    if "execution_interrupted" in by_type:
        return Ending.CANCELLED, None
    error = by_type.get("execution_error")
    # an ExecutionBlocker with a message makes an error, and the prompt a success
    if word == "success" or (word is None and error is None):
        return Ending.SUCCEEDED, None
    if isinstance(error, dict) and is_out_of_memory(error):
        return Ending.OOM, FailReason.OOM
    return Ending.FAILED, FailReason.NODE_ERROR


def is_out_of_memory(error: Mapping[str, Any]) -> bool:
    """Whether an ``execution_error`` says that device memory ran out."""
    kind = str(error.get("exception_type", ""))
    message = str(error.get("exception_message", ""))
    # the last part: torch.OutOfMemoryError, torch.cuda.OutOfMemoryError, …
    return kind.rpartition(".")[2] == "OutOfMemoryError" or message.startswith(_OOM_MESSAGES)


def _closing(told: Sequence[list[Any]], messages: Sequence[list[Any]]) -> list[list[Any]]:
    """What was said, completed by what only the history knows (the socket was broken)."""
    closing = list(told)
    said = {row[0] for row in closing}
    closing += [row for row in messages if row[0] in CLOSING and row[0] not in said]
    return closing


def _refusal_text(rejected: Rejected, node: Mapping[str, Any]) -> str:
    errors = node.get("errors")
    rows = [row for row in errors if isinstance(row, dict)] if isinstance(errors, list) else []
    rows = rows or [rejected.error]
    return "\n".join(_refusal_line(row) for row in rows)


def _refusal_line(row: Mapping[str, Any]) -> str:
    # a list of choices may hold everybody's files
    details = str(row.get("details", "")).split(" not in [", 1)[0]
    message = str(row.get("message", ""))
    return f"{message}: {details}" if details else message


def _outcome(
    ending: Ending,
    reason: FailReason | None,
    result: Mapping[str, Any],
    closing: Sequence[list[Any]],
    figures: Figures,
) -> Outcome:
    return Outcome(
        ending=ending,
        result=loose_json.encode(result),
        frames=loose_json.encode(list(closing)),
        reason=reason,
        peak_bytes=figures.peak_bytes,
        run_seconds=figures.run_seconds,
        retry_bytes=figures.retry_bytes if ending is Ending.OOM else 0,
        clean=figures.clean,
        probed=figures.probed,
    )
