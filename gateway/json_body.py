"""JSON in and out: what clients send is read or refused in one way, answers are built in one."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from gateway.large_reply import PlainResponse


class NotJson(ValueError):
    """The bytes are no JSON that can be worked with; the message says why."""


def read_json(body: bytes | str) -> Any:
    """Decode a client's JSON.

    Raises:
        NotJson: malformed, not UTF-8 (inside strings too), or nested too deeply.
    """
    try:
        return msgspec.json.decode(body)
    except RecursionError as error:
        raise NotJson("it is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise NotJson(str(error)[:200]) from error


def json_reply(body: Any, status: int = 200) -> web.Response:
    """An answer in JSON."""
    return encoded_reply(msgspec.json.encode(body), status)


def encoded_reply(body: bytes, status: int = 200) -> web.Response:
    """An answer that is JSON already."""
    return PlainResponse(
        status=status,
        body=body,
        content_type="application/json",
        charset="utf-8",
    )
