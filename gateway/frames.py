"""ComfyUI's WebSocket frames, built: JSON messages and the binary layouts.

All integers are big-endian. Layouts: ``1`` image (type, bytes), ``3`` text
(length, node, text; newer clients want length, prompt_id in front of that),
``4`` image with metadata (length, JSON, bytes). Others are a node pack's own and pass as
they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Layout:
    """What a client has declared that it understands; nothing where it declared nothing."""

    #: ``supports_preview_metadata``: event 4 instead of 1
    metadata: bool = False
    #: ``supports_progress_text_metadata``: event 3 with the prompt's id
    text_prompts: bool = False


def layout(flags: Mapping[str, Any]) -> Layout:
    """The layouts for a client's feature flags; those that mean nothing here are left aside."""
    return Layout(
        metadata=flags.get("supports_preview_metadata") is True,
        text_prompts=flags.get("supports_progress_text_metadata") is True,
    )


def text_frame(message: Mapping[str, Any], job: str = "") -> Frame:
    """A JSON message ``{"type", "data"}``; ``job`` keeps progress of several jobs apart."""
    type_ = message.get("type")
    key = None
    data = message.get("data")
    if type_ in _NEWEST_WINS and isinstance(data, dict):
        told_apart = data.get(_NEWEST_WINS[type_])
        # without it, it is a node pack's own and may say what the next frame is
        key = None if told_apart is None else (type_, job, str(told_apart))
    return Frame(msgspec.json.encode(message), key=key)


def status(remaining: int, sid: str | None = None) -> Frame:
    """How many of the user's prompts have not ended; with ``sid`` only as a first frame."""
    data: dict[str, Any] = {"status": {"exec_info": {"queue_remaining": remaining}}}
    if sid is not None:
        data["sid"] = sid
    return text_frame({"type": "status", "data": data})


def server_features(max_upload_bytes: int) -> dict[str, Any]:
    """What this server can do, whatever its workers can."""
    return {
        "supports_preview_metadata": True,
        "max_upload_size": max_upload_bytes,
        "assets": False,
    }


def feature_flags(max_upload_bytes: int, told: Layout) -> Frame:
    """What this server can do, in answer to what a client says it can."""
    data = server_features(max_upload_bytes)
    if told.text_prompts:
        # who hears this reads texts in the newer layout, and nobody else gets them so
        data["supports_progress_text_metadata"] = True
    return text_frame({"type": "feature_flags", "data": data})


def executing_nothing(prompt_id: str) -> dict[str, Any]:
    """The message that ends a prompt for its client."""
    return {"type": "executing", "data": {"node": None, "prompt_id": prompt_id}}


def is_last(message: Mapping[str, Any]) -> bool:
    """Whether this message ends a prompt for its client."""
    data = message.get("data")
    if message.get("type") != "executing" or not isinstance(data, Mapping):
        return False
    return data.get("node", "") is None


def binary_frame(header: LiveHeader, payload: bytes | memoryview, told: Layout) -> Frame:
    """A preview, a result or progress text in the layout that this client reads.

    Args:
        header: the agent's head of the frame.
        payload: image bytes or UTF-8 text.
        told: what the client has declared.
    """
    if header.event == _TEXT:
        head = _u32(_TEXT)
        if told.text_prompts:
            head += _counted(header.prompt_id.encode())
        head += _counted(header.node.encode())
        # a text without a node is a pack's own: not a newer state of the one before
        key = ("text", header.job, header.node) if header.node else None
        return Frame(head + payload, binary=True, key=key)
    if header.event not in (_IMAGE, _IMAGE_WITH_METADATA):
        return Frame(_u32(header.event) + payload, binary=True)
    key = None if header.lossless else ("preview", header.job, header.node)
    if told.metadata and header.event == _IMAGE_WITH_METADATA and header.metadata is not None:
        head = _u32(_IMAGE_WITH_METADATA) + _counted(msgspec.json.encode(header.metadata))
        return Frame(head + payload, binary=True, key=key)
    head = _u32(_IMAGE) + _u32(_image_type(header))
    return Frame(head + payload, binary=True, key=key)


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _counted(words: bytes) -> bytes:
    return _u32(len(words)) + words


def _image_type(header: LiveHeader) -> int:
    """1 JPEG or 2 PNG, from the metadata where the header does not say."""
    if header.image_type:
        return header.image_type
    told = (header.metadata or {}).get("image_type")
    return _PNG if told == "image/png" else 1
