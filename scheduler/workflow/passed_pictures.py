"""Pictures that travel through a worker's memory instead of its folders. Pure.

The node pack comfyui-tooling-nodes (2.x and later), which the Krita plugin needs, keeps
pictures under ids for some minutes: a client puts one there and a graph reads it by its
id; a node leaves its results there and names their ids. For us they are files of one more
type: a user's own names, sent to the worker that runs the prompt, owned by record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

#: beside ``input``, ``output`` and ``temp``
PASSED: Final = "passed"
#: the class that reads a picture, and the input that names it
READER: Final = "ETN_LoadImageCache"
READER_INPUT: Final = "id"
#: where a worker keeps them; a picture's id follows
ROUTE: Final = "api/etn/image"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


def is_id(text: str) -> bool:
    """Whether a picture may be called so."""
    return _ID.fullmatch(text) is not None


def pinned_name(picture: str) -> str:
    """How a job's list of files names a picture, so that it is nobody else's path."""
    return f"{picture} [{PASSED}]"


def read_pictures(graph: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """``(node, id)`` of every picture that a graph reads."""
    for node_id, node in graph.items():
        if not isinstance(node, dict) or node.get("class_type") != READER:
            continue
        inputs = node.get("inputs")
        value = inputs.get(READER_INPUT) if isinstance(inputs, dict) else None
        if isinstance(value, str) and is_id(value):
            yield node_id, value


def left_picture(item: Mapping[str, Any]) -> str | None:
    """The id in one entry of a node's output, or None if it names no such picture."""
    picture = item.get("id")
    if item.get("source") != "http" or not isinstance(picture, str) or not is_id(picture):
        return None
    return picture
