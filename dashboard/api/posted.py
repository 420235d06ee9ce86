"""Bodies of requests that change something: small JSON objects."""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import web

from dashboard.api.asking import Refused
from dashboard.api.described import Json

MOST_BYTES: Final = 65_536


async def posted(request: web.Request) -> dict[str, Any]:
    """The request's JSON object.

    Raises:
        Refused: it is none, or too long.
    """
    if (request.content_length or 0) > MOST_BYTES:
        raise Refused(413, f"Send at most {MOST_BYTES} bytes.")
    text = await request.content.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise Refused(413, f"Send at most {MOST_BYTES} bytes.")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(400, "Send a JSON object.")
    return found


def text_of(body: dict[str, Any], name: str, default: str = "", most: int = 300) -> str:
    """A text of the body.

    Raises:
        Refused: it is none, or too long.
    """
    value = body.get(name, default)
    if not isinstance(value, str) or len(value) > most:
        raise Refused(400, f"`{name}` must be a text of at most {most} characters.")
    return value


def takes(**properties: Json) -> Json:
    """How a description says what is to be sent; names that end in ``_`` may be left out."""
    schema: Json = {
        "type": "object",
        "properties": {name.rstrip("_"): value for name, value in properties.items()},
        "required": [name for name in properties if not name.endswith("_")],
    }
    return {"required": True, "content": {"application/json": {"schema": schema}}}
