"""JSON that clients send: read, or refused in one way whatever is wrong with it."""

from __future__ import annotations

from typing import Any

import msgspec


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
