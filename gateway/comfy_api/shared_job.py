"""A prompt of another user's as its mates may see it. Pure.

Everything is listed that is shown, nothing that is hidden: what a client or a node pack invents
tomorrow is not shown until somebody decides so. A mate sees the graph, the workflow, how it
went, and the outputs where those are shared; never who listens to it (``client_id``), its id
(a client chose it, and it may be another's too), tokens, what nodes said, temporary pictures, and files that were sent inside the graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.comfy_api.stored import StoredPrompt
from gateway.mates import folder_of

_FILE: Final = ("filename", "type", "format", "frame_rate")
_STATUS: Final = ("status_str", "completed")
_MESSAGE: Final = (
    "timestamp",
    "nodes",
    "node_id",
    "node_type",
    "executed",
    "exception_type",
    "exception_message",
)
#: what clients read of a failure without asking whether it is there
_EMPTY: Final[Mapping[str, Any]] = {"traceback": [], "current_inputs": {}, "current_outputs": []}
#: in a value it is no text that anybody wrote: a picture or a file in base64, passed in the graph
_INLINE: Final = r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_=-]{512}"
_INLINE_BYTES: Final = re.compile(_INLINE.encode())
_INLINE_TEXT: Final = re.compile(_INLINE)


class _PngInfo(Struct, omit_defaults=True):
    workflow: Raw | UnsetType = UNSET


class _Extra(Struct, omit_defaults=True):
    extra_pnginfo: _PngInfo | None = None
    vramgate: dict[str, str] = {}


_decode_extra = msgspec.json.Decoder(_Extra).decode


class _Posted(Struct):
    extra_pnginfo: _PngInfo | None = None


_decode_posted = msgspec.json.Decoder(_Posted).decode


def shared_prompt(stored: StoredPrompt, owner: str) -> StoredPrompt:
    """What was posted; ``extra_data`` names the owner, whose own words in it are the workflow."""
    try:
        info = _decode_posted(stored.extra_data).extra_pnginfo
    except msgspec.ValidationError:
        info = None
    extra = _Extra(extra_pnginfo=info, vramgate={"user": owner})
    return StoredPrompt(
        prompt=_without_inline(stored.prompt),
        extra_data=_without_inline(Raw(msgspec.json.encode(extra))),
        outputs=stored.outputs,
    )


def _without_inline(json: Raw) -> Raw:
    """The same, values empty that hold whole files: those are inputs, and no input is shared."""
    if _INLINE_BYTES.search(bytes(json)) is None:
        return json
    return Raw(msgspec.json.encode(_emptied(msgspec.json.decode(json))))


def _emptied(value: Any) -> Any:
    match value:
        case str():
            return "" if _INLINE_TEXT.search(value) else value
        case list():
            return [_emptied(item) for item in value]
        case dict():
            return {key: _emptied(item) for key, item in value.items()}
        case _:
            return value


def shared_result(result: bytes, owner: str, shown_id: str, *, files: bool) -> bytes:
    """What came of it.

    Args:
        result: JSON object ``{"outputs", "status", "meta"}``.
        owner: whose it is.
        shown_id: how mates call the prompt.
        files: whether outputs are shared, too.
    """
    told = msgspec.json.decode(result)
    told = told if isinstance(told, dict) else {}
    outputs = dict(_outputs(told.get("outputs"), owner)) if files else {}
    meta = _object(told.get("meta"))
    return msgspec.json.encode(
        {
            "outputs": outputs,
            "status": _status(told.get("status"), shown_id),
            "meta": {node: meta[node] for node in outputs if node in meta},
        }
    )


def _outputs(outputs: Any, owner: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The files of type output of each node that has any."""
    for node, output in _object(outputs).items():
        kept = {
            kind: files
            for kind, items in _object(output).items()
            if (files := [_file(item, owner) for item in _list(items) if _is_output(item)])
        }
        if kept:
            yield node, kept


def _is_output(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("filename"), str)
        and item.get("type") == "output"
    )


def _file(item: Mapping[str, Any], owner: str) -> dict[str, Any]:
    folder = item.get("subfolder")
    shown = {name: item[name] for name in _FILE if name in item}
    return {**shown, "subfolder": folder_of(owner, folder if isinstance(folder, str) else "")}


def _status(status: Any, shown_id: str) -> dict[str, Any] | None:
    if not isinstance(status, dict):
        return None
    messages = [
        [message[0], _message(message[0], message[1], shown_id)]
        for message in _list(status.get("messages"))
        if isinstance(message, list) and len(message) == 2 and isinstance(message[1], dict)
    ]
    return {**{name: status[name] for name in _STATUS if name in status}, "messages": messages}


def _message(type_: Any, data: Mapping[str, Any], shown_id: str) -> dict[str, Any]:
    shown = {name: data[name] for name in _MESSAGE if name in data}
    empty = _EMPTY if type_ == "execution_error" else {}
    return {**shown, **empty, "prompt_id": shown_id}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
