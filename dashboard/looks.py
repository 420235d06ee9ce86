"""What admins see and do of what is somebody else's, written down.

A resource says whose the thing is that it shows (``looked_at``) or has changed (``acted_on``);
when the answer is one, and the asker is somebody else, the entry is made. Looks are one entry
an hour for each thing; gateways make it together: its id is of who, what and the hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from sqlalchemy.exc import SQLAlchemyError

from config.settings import Role
from store.audit import LOOK_MS, SqlAudit

_log = structlog.get_logger()
_SEEN: Final[web.RequestKey[list[tuple[str, str]]]] = web.RequestKey("looked_at", list)
_DONE: Final[web.RequestKey[list[tuple[str, str, str]]]] = web.RequestKey("acted_on", list)
#: Entries of this hour that this process knows of; pages ask again every few seconds.
_MOST: Final = 10_000


def looked_at(request: web.Request, subject: str, user: str) -> None:
    """Say what an answer shows.

    Args:
        request: the one that is answered.
        subject: the thing, for example ``job:<id>`` or ``user:<name>``; never a text of a prompt.
        user: whose it is.
    """
    request.setdefault(_SEEN, []).append((subject, user))


def acted_on(request: web.Request, action: str, subject: str, user: str) -> None:
    """Say what a request has changed: each time is an entry of its own."""
    request.setdefault(_DONE, []).append((action, subject, user))


class Looks:
    """Makes the entries."""

    def __init__(
        self,
        audit: SqlAudit,
        who: Callable[[web.Request], tuple[str, Role]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._audit = audit
        self._who = who
        self._clock = clock
        self._known: set[tuple[str, str, int]] = set()

    def middleware(self) -> Middleware:
        """To be put around all of the dashboard's routes."""

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            response = await handler(request)
            if response.status < 400:
                for subject, user in request.get(_SEEN, ()):
                    await self._note_look(request, subject, user)
                for action, subject, user in request.get(_DONE, ()):
                    await self._note_deed(request, action, subject, user)
            return response

        return note

    async def _note_deed(self, request: web.Request, action: str, subject: str, user: str) -> None:
        by_user, role = self._who(request)
        if role is not Role.ADMIN or user == by_user:
            return
        try:
            await self._audit.note(by_user, action, subject, {"user": user})
        except (SQLAlchemyError, OSError) as error:
            # it is done; the log has the entry in its place
            _log.warning(
                "deed_not_recorded",
                by=by_user,
                action=action,
                subject=subject,
                error=type(error).__name__,
            )

    async def _note_look(self, request: web.Request, subject: str, user: str) -> None:
        by_user, role = self._who(request)
        if role is not Role.ADMIN or user == by_user:
            return
        look = (by_user, subject, int(self._clock() * 1000) // LOOK_MS)
        if look in self._known:
            return
        try:
            await self._audit.note_look(by_user, subject, {"user": user})
        except (SQLAlchemyError, OSError) as error:
            # the page is no secret of the admin's: the log has the entry in its place
            _log.warning(
                "look_not_recorded", by=by_user, subject=subject, error=type(error).__name__
            )
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known.add(look)
