"""Reads what a request asks for; what cannot be is refused with what could be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .limit import Limit

if TYPE_CHECKING:
    from aiohttp import web


class BadRequest(ValueError):
    """A request that cannot be served; the message says what it must hold."""


async def body_of(request: web.Request) -> dict[str, Any]:
    """The JSON object in a request's body; an empty body is an empty object.

    Raises:
        BadRequest: it holds something else.
    """
    if not await request.read():
        return {}
    try:
        body = await request.json()
    except ValueError:
        raise BadRequest("the body must be JSON") from None
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    return body


def size_of(body: dict[str, Any], name: str) -> int | None:
    """A number of bytes, or None.

    Raises:
        BadRequest: it is neither.
    """
    value = body.get(name)
    if value is not None and (type(value) is not int or value < 0):
        raise BadRequest(f"{name} must be a number of bytes, or null")
    return value


def record_of(body: dict[str, Any], name: str) -> int | None:
    """A record's number, or None where there is none.

    Raises:
        BadRequest: it is something else.
    """
    value = body.get(name)
    if value is not None and (type(value) is not int or value < 0):
        raise BadRequest(f"{name} must be a record's number")
    return value


def names_of(body: dict[str, Any], name: str) -> list[str]:
    """A list of texts, empty where there is none.

    Raises:
        BadRequest: it is something else.
    """
    value = body.get(name) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadRequest(f"{name} must be a list of names")
    return value


def limit_of(body: dict[str, Any]) -> Limit:
    """The limit that a request asks for.

    Raises:
        BadRequest: something in it is no number of bytes, or ``told`` is less than ``bytes``.
        BadLimit: nothing would run within it.
    """
    size = size_of(body, "bytes")
    told = size_of(body, "told") if "told" in body else size
    if size is not None and told is not None and told < size:
        raise BadRequest("told must not be less than bytes, or ComfyUI could not use them")
    return Limit(size, size_of(body, "context") or 0, told)


def number_of(request: web.Request, name: str, otherwise: int) -> int:
    """A whole number of the query.

    Raises:
        BadRequest: it is none.
    """
    text = request.query.get(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequest(f"{name} must be a whole number")
    return int(text)
