"""One prompt as ``/api/jobs`` shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.comfy_api.ended import Ended
from gateway.comfy_api.stored import StoredPrompt, decode_body, queue_item
from scheduler.states import JobState

ENDED: Final = {
    JobState.SUCCEEDED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}
#: output lists that a browser can show
_SHOWN: Final = frozenset({"images", "gifs", "video", "videos", "audio", "3d"})


class _Workflow(Struct):
    id: str | None = None


class _PngInfo(Struct):
    workflow: _Workflow | None = None


class _Extra(Struct):
    extra_pnginfo: _PngInfo | None = None


_decode_extra = msgspec.json.Decoder(_Extra).decode


def unfinished(
    prompt_id: str,
    number: int,
    submitted_ms: int,
    workflow_id: str | None,
    *,
    started_ms: int | None = None,
) -> dict[str, Any]:
    """A job that has not ended; ``started_ms`` None: it is pending, 0: it is about to start."""
    return _pruned(
        id=prompt_id,
        status="pending" if started_ms is None else "in_progress",
        priority=number,
        create_time=submitted_ms,
        execution_start_time=started_ms or None,
        outputs_count=0,
        previewable_outputs_count=0,
        workflow_id=workflow_id,
    )


def ended(one: Ended) -> dict[str, Any]:
    """A job that has ended."""
    result = msgspec.json.decode(one.result)
    files = list(_files(result.get("outputs") or {}))
    shown = [file for file in files if file["mediaType"] in _SHOWN]
    # a saved file says more than a temporary preview of it
    shown.sort(key=lambda file: file.get("type") != "output")
    return _pruned(
        id=one.prompt_id,
        status=ENDED[one.state],
        priority=one.number,
        create_time=one.submitted_ms,
        execution_start_time=one.started_ms or one.submitted_ms,
        execution_end_time=one.ended_ms,
        execution_error=_execution_error(result.get("status")),
        outputs_count=len(files),
        previewable_outputs_count=len(shown),
        preview_output=shown[0] if shown else None,
        workflow_id=workflow_id(decode_body(one.prompt)),
    )


def workflow(stored: StoredPrompt) -> dict[str, Any]:
    """What was posted, for the answer about one job."""
    _, _, prompt, extra_data, _ = queue_item(0, "", stored)
    return {"workflow": {"prompt": prompt, "extra_data": extra_data}}


def workflow_id(stored: StoredPrompt) -> str | None:
    """The id that the frontend gave the workflow; reads past everything else."""
    try:
        extra = _decode_extra(stored.extra_data)
    except msgspec.ValidationError:
        return None
    info = extra.extra_pnginfo
    return info.workflow.id if info is not None and info.workflow is not None else None


def _files(outputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for node, output in outputs.items():
        for kind, items in output.items() if isinstance(output, dict) else ():
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict) and "filename" in item:
                    yield {**item, "nodeId": node, "mediaType": kind}


def _execution_error(status: Any) -> Any:
    messages = status.get("messages") if isinstance(status, dict) else None
    return next((data for type_, data in messages or () if type_ == "execution_error"), None)


def _pruned(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
