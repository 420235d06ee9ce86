"""ComfyUI's WebSocket frames, built: JSON messages and the binary layouts.

All integers are big-endian. Layouts: ``1`` image (type, bytes), ``3`` text
(length, node, text), ``4`` image with metadata (length, JSON, bytes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.outbox import Frame
from scheduler.live import LiveHeader

_IMAGE: Final = 1
_TEXT: Final = 3
_IMAGE_WITH_METADATA: Final = 4
_PNG: Final = 2
#: JSON messages of which only the newest says anything, and the field that tells them apart
_NEWEST_WINS: Final = {"progress_state": "prompt_id", "progress": "node"}


def text_frame(message: Mapping[str, Any], job: str = "") -> Frame:
    """A JSON message ``{"type", "data"}``; ``job`` keeps progress of several jobs apart."""
    type_ = message.get("type")
    key = None
    data = message.get("data")
    if type_ in _NEWEST_WINS and isinstance(data, dict):
        key = (type_, job, str(data.get(_NEWEST_WINS[type_])))
    return Frame(msgspec.json.encode(message), key=key)


def status(remaining: int, sid: str | None = None) -> Frame:
    """How many of the user's prompts have not ended; with ``sid`` only as a first frame."""
    data: dict[str, Any] = {"status": {"exec_info": {"queue_remaining": remaining}}}
    if sid is not None:
        data["sid"] = sid
    return text_frame({"type": "status", "data": data})


def feature_flags(max_upload_bytes: int) -> Frame:
    """What this server can do, in answer to what a client says it can."""
    data = {"supports_preview_metadata": True, "max_upload_size": max_upload_bytes}
    return text_frame({"type": "feature_flags", "data": data})


def executing_nothing(prompt_id: str) -> dict[str, Any]:
    """The message that ends a prompt for its client."""
    return {"type": "executing", "data": {"node": None, "prompt_id": prompt_id}}


def binary_frame(header: LiveHeader, payload: bytes | memoryview, *, metadata: bool) -> Frame:
    """A preview, a result or progress text in the layout that this client reads.

    Args:
        header: the agent's head of the frame.
        payload: image bytes or UTF-8 text.
        metadata: the client declared ``supports_preview_metadata``.
    """
    if header.event == _TEXT:
        node = header.node.encode()
        head = _TEXT.to_bytes(4, "big") + len(node).to_bytes(4, "big") + node
        return Frame(head + payload, binary=True, key=("text", header.job, header.node))
    key = None if header.lossless else ("preview", header.job, header.node)
    if metadata and header.event == _IMAGE_WITH_METADATA and header.metadata is not None:
        told = msgspec.json.encode(header.metadata)
        head = _IMAGE_WITH_METADATA.to_bytes(4, "big") + len(told).to_bytes(4, "big") + told
        return Frame(head + payload, binary=True, key=key)
    head = _IMAGE.to_bytes(4, "big") + _image_type(header).to_bytes(4, "big")
    return Frame(head + payload, binary=True, key=key)


def _image_type(header: LiveHeader) -> int:
    """1 JPEG or 2 PNG, from the metadata where the header does not say."""
    if header.image_type:
        return header.image_type
    told = (header.metadata or {}).get("image_type")
    return _PNG if told == "image/png" else 1
