"""The last word on a prompt that its worker did not speak. Pure.

ComfyUI closes a prompt with one message to its client and keeps that message in
the history. Where we end a prompt ourselves (it expired, its workers died, it hung),
ledger, agent and gateway take the same message from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from scheduler.states import FailReason

#: What a user reads where nobody had more to say.
SENTENCES: Final[dict[str, str]] = {
    FailReason.NODE_ERROR: "A node failed. Look at the job's page for what it said.",
    FailReason.OOM: "Out of device memory twice, the second time with a raised reservation. "
    "Use a smaller batch or resolution, or a tiled VAE.",
    FailReason.LOST: "The worker was lost while it ran. Queue the prompt again.",
    FailReason.POISON: "The prompt was stopped: each worker that ran it was lost, so it will not "
    "be tried again. Ask your admin for the workers' logs before you queue it once more.",
    FailReason.INFEASIBLE: "No GPU of this pool can run it. Use a smaller batch or resolution.",
    FailReason.EXPIRED: "It did not start before its deadline.",
    FailReason.HUNG: "It showed no sign of life for too long and was stopped.",
}


def error_data(
    prompt_id: str,
    message: str,
    kind: str,
    *,
    node: str = "",
    node_type: str = "",
    at_ms: int | None = None,
) -> dict[str, Any]:
    """Data of ``execution_error``.

    Args:
        prompt_id: as the client knows it.
        message: what the user reads.
        kind: stands where ComfyUI names the exception's class.
        node: id of the node that failed, "" for none.
        node_type: its class.
        at_ms: when, milliseconds since the epoch; None: whoever sends it adds that.
    """
    data: dict[str, Any] = {
        "prompt_id": prompt_id,
        "node_id": node,
        "node_type": node_type,
        "executed": [],
        "exception_message": message,
        "exception_type": kind,
        "traceback": [],
        "current_inputs": {},
        "current_outputs": [],
    }
    return data if at_ms is None else {**data, "timestamp": at_ms}


def failure_data(
    prompt_id: str, reason: str, message: str = "", *, at_ms: int | None = None
) -> dict[str, Any]:
    """Data of ``execution_error`` for a job that ended FAILED(``reason``).

    Without a ``message`` the reason's own sentence stands there.
    """
    text = message or SENTENCES.get(reason, "The job failed.")
    return error_data(prompt_id, text, f"vramgate.{reason or 'failed'}", at_ms=at_ms)


def failed_frames(
    prompt_id: str, reason: FailReason, message: str = "", *, at_ms: int | None = None
) -> list[Any]:
    """Closing frames of a prompt that we end as failed; see ``failure_data``."""
    return [["execution_error", failure_data(prompt_id, reason.value, message, at_ms=at_ms)]]


def interrupted_frames(
    prompt_id: str, *, node: str = "", node_type: str = "", at_ms: int | None = None
) -> list[Any]:
    """Closing frames of a cancelled prompt whose worker did not say so itself."""
    data: dict[str, Any] = {
        "prompt_id": prompt_id,
        "node_id": node,
        "node_type": node_type,
        "executed": [],
    }
    if at_ms is not None:
        data["timestamp"] = at_ms
    return [["execution_interrupted", data]]


def wordless_entry(frames: Sequence[Any]) -> dict[str, Any]:
    """A history entry's ``{outputs, status, meta}`` for a prompt that ended with these frames."""
    return {
        "outputs": {},
        "status": {"status_str": "error", "completed": False, "messages": list(frames)},
        "meta": {},
    }
