"""Bodies of requests that change something: small JSON objects."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from dashboard.api.asking import Refused
from dashboard.api.described import Json

MOST_BYTES: Final = 65_536
_NO_OBJECT: Final = "Send a JSON object."
T = TypeVar("T")


async def posted(
    request: web.Request, most_bytes: int = MOST_BYTES, like: str = ""
) -> dict[str, Any]:
    """The request's JSON object: no NaN, no infinity and no half of a character is in it.

    Args:
        request: whose body is read.
        most_bytes: of it.
        like: an example, for whoever sends something else.

    Raises:
        Refused: it is none, or too long.
    """
    text = await _text(request, most_bytes)
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, f"Send a JSON object: {like}." if like else _NO_OBJECT) from error


async def posted_as(request: web.Request, shape: type[T], most_bytes: int = 4096) -> T:
    """The same as a value of a type that says what may be in it.

    Raises:
        Refused: it is no such object, or too long.
    """
    text = await _text(request, most_bytes)
    try:
        return msgspec.json.decode(text, type=shape)
    except msgspec.ValidationError as error:
        raise Refused(400, f"The body is wrong: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, _NO_OBJECT) from error


async def _text(request: web.Request, most_bytes: int) -> bytes:
    read = bytearray()
    # one read may bring a part of it only
    async for piece in request.content.iter_any():
        read += piece
        if len(read) > most_bytes:
            raise Refused(413, f"Send at most {most_bytes} bytes.")
    return bytes(read)


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
