"""ComfyUI's WebSocket frames, taken apart. Pure.

Layouts as in ComfyUI 0.3.64, measured: a binary frame is ``u32`` event, then
1 image (``u32`` format, bytes), 3 text (``u32`` length, node id, text),
4 image with metadata (``u32`` length, JSON, bytes); integers are big-endian.
Node packs send events of numbers of their own, which only their clients can read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from worker_agent import loose_json

IMAGE: Final = 1
TEXT: Final = 3
IMAGE_WITH_METADATA: Final = 4
#: events whose layout we know; others are a pack's own
OURS: Final = frozenset({IMAGE, TEXT, IMAGE_WITH_METADATA})
_FORMATS: Final = {"image/jpeg": 1, "image/png": 2}

#: messages that end a prompt; they reach clients through the ledger's stream
CLOSING: Final = frozenset({"execution_success", "execution_error", "execution_interrupted"})
#: what a probe says to its agent alone (docs/probe.md)
PROBE: Final = "vramgate"
#: what a worker says to everybody about itself
BROADCAST: Final = frozenset({"status", "logs", "feature_flags"})


@dataclass(frozen=True, slots=True)
class Message:
    """A text frame: ``{"type", "data"}``."""

    type: str
    #: an object in all of ComfyUI's own messages; packs may send anything
    data: Any

    @property
    def prompt_id(self) -> str | None:
        """Whose prompt it is about, as the worker calls it."""
        return self.field("prompt_id")

    def field(self, name: str) -> str | None:
        """A field of the data, if it is text."""
        found = self.data.get(name) if isinstance(self.data, dict) else None
        return found if isinstance(found, str) else None


# some of these are made with each step of a sampler: a dataclass takes several times as long
class Binary(msgspec.Struct, frozen=True):
    """A binary frame without its framing."""

    event: int
    #: of a pack's own event all that follows its number
    payload: bytes
    #: 1 JPEG, 2 PNG, 0 no image
    image_type: int = 0
    #: the node it belongs to, "" where the frame does not say
    node: str = ""
    #: of all frames that say the same the same one: not to be changed
    metadata: dict[str, Any] | None = None


class Progress(msgspec.Struct, frozen=True):
    """A ``progress`` or ``progress_state``, not taken apart: two come with each step of a sampler.

    Its JSON has no escapes, so that ids in it can be replaced as they stand, and names no file.
    """

    type: str
    prompt_id: str | None
    #: of ``progress``: the node, and its steps so far
    node: str | None
    value: float | None
    #: the message's data, JSON
    data: str


Frame = Message | Progress | Binary


class _Envelope(msgspec.Struct, frozen=True):
    type: str
    data: msgspec.Raw


class _Head(msgspec.Struct, frozen=True):
    """What is looked at of a ``Progress``."""

    prompt_id: str | None = None
    node: str | None = None
    value: float | None = None


_envelope: Final = msgspec.json.Decoder(_Envelope)
_head: Final = msgspec.json.Decoder(_Head)
#: how ComfyUI's own begin, by their type
_OPENINGS: Final = {
    type_: f'{{"type": "{type_}", "data": ' for type_ in ("progress_state", "progress")
}
#: metadata of a preview says the same at each step of a sampler: larger ones are a pack's own, bytes
_MOST_METADATA: Final = 1024
_METADATA_KEPT: Final = 64


def parse_text(text: str) -> Message | Progress | None:
    """A text frame, or None if it is no ComfyUI message."""
    # cheap to look for, and decides for nearly all frames that come often
    if '"progress' in text and (progress := _progress(text)) is not None:
        return progress
    try:
        decoded = loose_json.decode(text)
    except ValueError:
        return None
    if not isinstance(decoded, dict) or not isinstance(decoded.get("type"), str):
        return None
    return Message(decoded["type"], decoded.get("data"))


def _progress(text: str) -> Progress | None:
    """A frame to be handed on as it is; None: it has to be decoded."""
    if "\\" in text or '"filename"' in text:
        return None
    for type_, opening in _OPENINGS.items():
        if text.startswith(opening) and text.endswith("}"):
            found = _of(type_, text[len(opening) : -1])
            if found is not None:
                return found
    return _laid_out_otherwise(text)


def _laid_out_otherwise(text: str) -> Progress | None:
    """The same of a worker, or a pack, that writes its JSON in another way."""
    try:
        found = _envelope.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    return _of(found.type, bytes(found.data).decode()) if found.type in _OPENINGS else None


def _of(type_: str, data: str) -> Progress | None:
    try:
        head = _head.decode(data)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    return Progress(type_, head.prompt_id, head.node, head.value, data)


def parse_binary(frame: bytes) -> Binary | None:
    """A binary frame, or None where it is cut short."""
    if len(frame) < 4:
        return None
    event = _u32(frame, 0)
    if event not in OURS:
        return Binary(event, frame[4:])
    if len(frame) < 8:
        return None
    head = _u32(frame, 4)
    if event == IMAGE:
        return Binary(IMAGE, frame[8:], image_type=head)
    if len(frame) < 8 + head:
        return None
    if event == TEXT:
        node = frame[8 : 8 + head].decode(errors="replace")
        return Binary(TEXT, frame[8 + head :], node=node)
    return _with_metadata(frame[8 : 8 + head], frame[8 + head :])


def _with_metadata(head: bytes, image: bytes) -> Binary | None:
    metadata = _metadata(head) if len(head) <= _MOST_METADATA else _metadata.__wrapped__(head)
    if metadata is None:
        return None
    return Binary(
        IMAGE_WITH_METADATA,
        image,
        image_type=_FORMATS.get(str(metadata.get("image_type")), 1),
        node=str(metadata.get("node_id", "")),
        metadata=metadata,
    )


@lru_cache(maxsize=_METADATA_KEPT)
def _metadata(head: bytes) -> dict[str, Any] | None:
    try:
        metadata = loose_json.decode(head)
    except ValueError:
        return None
    return metadata if isinstance(metadata, dict) else None


def _u32(frame: bytes, at: int) -> int:
    return int.from_bytes(frame[at : at + 4], "big")
