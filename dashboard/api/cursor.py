"""Pages of entries by their time: ``next`` of one page is ``before`` of the page after it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from dashboard.api.asking import Refused
from store.audit import Deed

_CURSOR: Final = re.compile(r"([0-9]{1,15})-(.{1,200})", re.DOTALL)


def cursor(request: web.Request) -> tuple[int, str] | None:
    """Time and id that the page comes after.

    Raises:
        Refused: it is no cursor.
    """
    text = request.query.get("before")
    if text is None:
        return None
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise Refused(400, "`before` must be the `next` of the page before.")
    return int(found[1]), found[2]


def next_of(found: Sequence[Deed], rows: int) -> str | None:
    """The cursor behind the page's last row; None where there is no more."""
    return f"{found[rows - 1].at_ms}-{found[rows - 1].id}" if len(found) > rows else None
