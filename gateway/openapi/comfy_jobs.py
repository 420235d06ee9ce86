"""ComfyUI's routes about prompts (pure)."""

from __future__ import annotations

from typing import Any, Final

from gateway.errors import Error
from gateway.openapi import shapes
from gateway.openapi.operation import NOTHING, PLAIN, TEXT, WHOLE, Operation

_STATUSES: Final = {
    "type": "string",
    "description": "Some of pending, in_progress, completed, failed, cancelled, with commas.",
}
_PART: Final = {"max_items": WHOLE, "offset": WHOLE}

PROMPTS: Final = (
    Operation(
        method="GET",
        path="/prompt",
        summary="How many of the caller's prompts have not ended",
        answers={200: [shapes.QueueInfo]},
    ),
    Operation(
        method="POST",
        path="/prompt",
        summary="Queue a prompt",
        body=[shapes.Prompt],
        answers={200: [shapes.Accepted], 409: [Error]},
        of_workers=True,
    ),
    Operation(
        method="GET",
        path="/queue",
        summary="The caller's prompts that run or wait",
        query=_PART,
        answers={200: [shapes.Queue], 400: [Error]},
    ),
    Operation(
        method="POST",
        path="/queue",
        summary="Cancel waiting prompts of the caller's",
        body=[shapes.Removal],
        answers={200: []},
    ),
    Operation(
        method="POST",
        path="/interrupt",
        summary="Stop running prompts of the caller's",
        body=[shapes.Interruption],
        needs_body=False,
        answers={200: []},
    ),
    Operation(
        method="GET",
        path="/history",
        summary="The caller's prompts that have ended, by prompt_id",
        query=_PART,
        answers={200: [dict[str, shapes.HistoryEntry]], 400: [Error]},
    ),
    Operation(
        method="GET",
        path="/history/{prompt_id}",
        summary="One of them; an empty object where the caller has none of that id",
        answers={200: [dict[str, shapes.HistoryEntry]]},
    ),
    Operation(
        method="POST",
        path="/history",
        summary="Forget ended prompts of the caller's",
        body=[shapes.Removal],
        answers={200: []},
    ),
    Operation(
        method="GET",
        path="/jobs",
        summary="The caller's prompts as newer frontends list them",
        query={
            "status": _STATUSES,
            "workflow_id": TEXT,
            "sort_by": {"enum": ["created_at", "execution_duration"]},
            "sort_order": {"enum": ["asc", "desc"]},
            "limit": {"type": "integer", "minimum": 1},
            "offset": {"type": "integer", "minimum": 0},
        },
        answers={200: [shapes.Jobs], 400: [shapes.Message]},
    ),
    Operation(
        method="GET",
        path="/jobs/{prompt_id}",
        summary="One of them with its workflow and outputs",
        answers={200: [shapes.JobDetail], 404: [shapes.Message]},
    ),
    Operation(
        method="POST",
        path="/jobs/{prompt_id}/cancel",
        summary="Cancel one of the caller's prompts",
        answers={200: [shapes.Cancelled]},
    ),
    Operation(
        method="POST",
        path="/jobs/cancel",
        summary="Cancel several of the caller's prompts",
        body=[shapes.JobIds],
        answers={200: [shapes.Cancelled], 400: [shapes.Message]},
    ),
    Operation(
        method="GET",
        path="/ws",
        summary="A WebSocket with frames about the caller's prompts",
        query={"clientId": TEXT},
        answers={101: [], 400: [PLAIN, Error]},
    ),
    Operation(
        method="GET",
        path="/internal/logs",
        summary="What became of the caller's prompts, as one text",
        answers={200: [str]},
        under_api=False,
    ),
    Operation(
        method="GET",
        path="/internal/logs/raw",
        summary="The same, line by line",
        answers={200: [shapes.RawLogs]},
        under_api=False,
    ),
    Operation(
        method="PATCH",
        path="/internal/logs/subscribe",
        summary="Tell sockets of the caller's of new lines",
        body=[shapes.LogSubscription],
        answers={200: []},
        under_api=False,
    ),
)

_PICTURE: Final = "/api/etn/image/{id}"
KRITA: Final = (
    Operation(
        method="GET",
        path="/api/etn/model_info",
        summary="Kinds of models, from a worker that has the pack",
        answers={200: [Any], 404: [NOTHING]},
        under_api=False,
        of_workers=True,
    ),
    Operation(
        method="GET",
        path="/api/etn/model_info/{folder}",
        summary="Those of one folder",
        answers={200: [Any], 404: [NOTHING]},
        under_api=False,
        of_workers=True,
    ),
    Operation(
        method="GET",
        path="/api/etn/languages",
        summary="Languages that the pack translates",
        answers={200: [Any], 404: [NOTHING]},
        under_api=False,
        of_workers=True,
    ),
    Operation(
        method="GET",
        path="/api/etn/translate/{language}/{text}",
        summary="A translation",
        answers={200: [Any], 404: [NOTHING]},
        under_api=False,
        of_workers=True,
    ),
    *(
        Operation(
            method="POST",
            path=f"/api/etn/workflow/{name}",
            summary=summary,
            body=[shape],
            answers={200: [shapes.Status]},
            under_api=False,
        )
        for name, summary, shape in (
            ("subscribe", "Tell a client of graphs that others publish", shapes.Subscriber),
            ("unsubscribe", "Tell it no more", shapes.Subscriber),
            ("publish", "Offer a graph to the caller's other clients", shapes.Publication),
        )
    ),
)
