"""Words of OpenAPI that resources describe themselves with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dashboard import shapes

#: before the names of schemas, which share one list with the gateway's
PREFIX: Final = "Dashboard"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Described:
    """A resource: its paths (below the dashboard's own), and the types of what it answers."""

    paths: Mapping[str, Json]
    shapes: tuple[type, ...]


def read(summary: str, shape: type, *parameters: Json, missing: str = "") -> Json:
    """A GET that answers JSON. ``missing``: when it answers 404, if it ever does."""
    responses: Json = {
        "200": body("As asked for.", shape),
        "304": {"description": "The caller has it already (`If-None-Match`)."},
        "400": body("A parameter is wrong; the text says which.", shapes.Failed),
        "403": body("The caller's role does not allow it.", shapes.Failed),
        "503": body("The store does not answer.", shapes.Failed),
    }
    if missing:
        responses["404"] = body(missing, shapes.Failed)
    return {"summary": summary, "parameters": list(parameters), "responses": responses}


def inquiry(name: str, description: str, schema: Json | None = None) -> Json:
    """A parameter of the query; text unless told otherwise."""
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema or {"type": "string"},
    }


def part(name: str, description: str) -> Json:
    """A part of the path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }


_WHOLE: Final[Json] = {"type": "integer", "minimum": 0}
SPAN: Final = (
    inquiry("from", "Milliseconds since 1970; a day before `until` where missing.", _WHOLE),
    inquiry("until", "Milliseconds since 1970, not part of it; now where missing.", _WHOLE),
)
PAGE: Final = (
    inquiry("start", "Rows to leave out.", _WHOLE),
    inquiry("rows", "Rows at most.", {"type": "integer", "minimum": 1, "maximum": 1000}),
)


def body(description: str, *shape: type) -> Json:
    """A response with one of these shapes as JSON."""
    found = [ref(one) for one in shape]
    schema = found[0] if len(found) == 1 else {"anyOf": found}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def ref(shape: type) -> Json:
    """Where the document has a shape."""
    return {"$ref": f"#/components/schemas/{PREFIX}{shape.__name__}"}
