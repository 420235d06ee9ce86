"""What all resources share: who asks, for which time, for which page, and how it is answered."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

import structlog
from aiohttp import ETag, hdrs, web
from aiohttp.typedefs import Handler
from sqlalchemy.exc import SQLAlchemyError

from config.settings import Role
from dashboard import shapes
from dashboard.looks import looked_at
from scheduler.ledger import LedgerUnavailable
from store.errors import StoreFull

_log = structlog.get_logger()

#: What is shown where no time is asked for: the last day.
DEFAULT_SPAN_MS: Final = 86_400_000
#: Nothing is kept for longer than this.
LONGEST_SPAN_MS: Final = 10 * 366 * 86_400_000
#: Rows of one page, where not told otherwise and at most.
PAGE_ROWS: Final = 100
MOST_ROWS: Final = 1000
#: Before the year 2100; a later time is a mistake in units.
_LAST_MS: Final = 4_102_444_800_000
#: Characters of a user's name.
_LONGEST_NAME: Final = 64
NO_QUEUE: Final = "Redis does not answer: the queue is safe, but nothing can be shown just now."
FULL: Final = "The database's disk is full: nothing was changed. Make room there, then try again."
NO_STORE: Final = "The store does not answer: nothing is lost, ask again when it is back."

Clock = Callable[[], float]
Who = Callable[[web.Request], tuple[str, Role]]


class Refused(Exception):
    """A request that gets nothing but a status and a sentence about what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks. Admins see everybody; all others, their own."""

    user: str
    role: Role

    @property
    def sees_all(self) -> bool:
        """Whether other users' rows may be told."""
        return self.role is Role.ADMIN

    def only(self, wanted: str | None = None) -> str | None:
        """The user whose rows may be read; None: everybody's.

        Args:
            wanted: the user that was asked for; None or empty: nobody in particular.

        Raises:
            Refused: it is somebody else, and the asker is no admin.
        """
        if self.sees_all:
            return wanted or None
        if wanted and wanted != self.user:
            raise Refused(403, "Only admins see other people's work.")
        return self.user


@dataclass(frozen=True, slots=True)
class Span:
    """From … until, milliseconds since the epoch; the end is not part of it."""

    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Page:
    """Rows ``start`` … ``start + rows`` of a list."""

    start: int
    rows: int


def asker(who: Who, request: web.Request) -> Asker:
    """Whoever passed the gateway's door; that an admin asks for one ``user`` is written down."""
    asking, wanted = Asker(*who(request)), request.query.get("user", "")
    if asking.sees_all and wanted and len(wanted) <= _LONGEST_NAME:
        looked_at(request, f"user:{wanted}", wanted)
    return asking


def admin(who: Who, request: web.Request) -> Asker:
    """The same, where only admins may.

    Raises:
        Refused: it is nobody of them.
    """
    asking = asker(who, request)
    if asking.role is not Role.ADMIN:
        raise Refused(403, "Only admins may see this.")
    return asking


def span(request: web.Request, clock: Clock = time.time, default_ms: int = DEFAULT_SPAN_MS) -> Span:
    """``?from=&until=``; what is missing: ``default_ms`` that end now.

    Raises:
        Refused: no numbers, or the wrong way round.
    """
    until_ms = number(request, "until", int(clock() * 1000), most=_LAST_MS)
    from_ms = number(request, "from", max(0, until_ms - default_ms), most=_LAST_MS)
    if not 0 < until_ms - from_ms <= LONGEST_SPAN_MS:
        raise Refused(
            400,
            "`from` must be before `until`, both in milliseconds since 1970 (at most 10 years).",
        )
    return Span(from_ms, until_ms)


def page(request: web.Request, rows: int = PAGE_ROWS) -> Page:
    """``?start=&rows=``.

    Raises:
        Refused: no numbers, or too many rows.
    """
    return Page(
        number(request, "start", 0, most=10_000_000),
        number(request, "rows", rows, least=1, most=MOST_ROWS),
    )


def number(
    request: web.Request, name: str, default: int, *, least: int = 0, most: int = 2**53
) -> int:
    """A whole number of the query.

    Raises:
        Refused: it is none, or out of bounds.
    """
    text = request.query.get(name)
    if text is None:
        return default
    # int() also takes "1_0", " 7" and digits of other scripts
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise Refused(400, f"`{name}` must be a whole number, without sign.")
    value = int(text)
    if not least <= value <= most:
        raise Refused(400, f"`{name}` must be from {least} to {most}.")
    return value


def choice(request: web.Request, name: str, choices: tuple[str, ...], default: str) -> str:
    """One of some words of the query.

    Raises:
        Refused: it is another.
    """
    word = request.query.get(name, default)
    if word not in choices:
        raise Refused(400, f"`{name}` must be one of: {', '.join(choices)}.")
    return word


def refusing(handler: Handler) -> Handler:
    """The handler, with refusals and servers that are away told as ``{"error": …}``."""

    @wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            return refuse(refused.status, refused.message)
        except LedgerUnavailable:
            return refuse(503, NO_QUEUE)
        except StoreFull:
            return refuse(503, FULL)
        except (SQLAlchemyError, OSError) as error:
            # the text of a database's error may hold what was asked for
            _log.warning("store_unavailable", error=type(error).__name__, path=request.path)
            return refuse(503, NO_STORE)

    return handle


@web.middleware
async def tell_unknown(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What is no address of the API, or takes another method, is refused as all else is."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        response = refuse(405, f"This address takes {allowed}, not {error.method}.")
        response.headers[hdrs.ALLOW] = allowed
        return response
    except web.HTTPNotFound:
        if "/api/" not in request.path:
            raise
        return refuse(404, "The API has no such address; GET /openapi.json lists all of them.")


def refuse(status: int, message: str) -> web.Response:
    """``{"error": …}``: says what to do next."""
    failed: shapes.Failed = {"error": message}
    return web.json_response(failed, status=status, headers={"Cache-Control": "no-store"})


def answer(request: web.Request, body: Mapping[str, Any], *, status: int = 200) -> web.Response:
    """JSON with a validator: whoever asks again with it and would get the same gets 304."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    digest = hashlib.blake2b(text, digest_size=12).hexdigest()
    # private: a proxy must not give one user what another was told
    headers = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}
    asked = request.if_none_match or ()
    if status == 200 and any(tag.value in (digest, "*") for tag in asked):
        response = web.Response(status=304, headers=headers)
    else:
        response = web.Response(
            body=text, status=status, content_type="application/json", headers=headers
        )
    response.etag = ETag(value=digest, is_weak=True)
    return response
