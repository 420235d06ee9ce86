"""Who did and saw what, where that is to be known later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from store import history_schema
from store.engine import writing
from store.upsert import insert_new

_audit = history_schema.audit.c
#: Looks at the same thing within one of these are one entry.
LOOK_MS: Final = 3_600_000
#: Rows of one answer of an export.
_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One entry."""

    id: str
    at_ms: int
    by_user: str
    #: a word, for example ``forget`` or ``view``
    action: str
    #: what it was done to, for example ``user:ann``
    subject: str
    #: ``user``: whom it concerns, where that is somebody
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeedFilter:
    """Which entries; None: all."""

    from_ms: int = 0
    until_ms: int = 2**53
    by_user: str | None = None
    action: str | None = None
    #: whole, or the part before its colon with it (``setting:``)
    subject: str | None = None


class SqlAudit:
    """The log. Entries are never changed, but for the names of forgotten users."""

    def __init__(
        self, engine: AsyncEngine, clock: Callable[[], float], new_id: Callable[[], str]
    ) -> None:
        """``clock``: seconds since the epoch; ``new_id``: never the same twice."""
        self._engine = engine
        self._clock = clock
        self._new_id = new_id

    async def note(
        self, by_user: str, action: str, subject: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Add an entry. No key and no text of a prompt may be in it."""
        await self._add(self._new_id(), by_user, action, subject, detail)

    async def note_look(self, by_user: str, subject: str, detail: Mapping[str, Any]) -> None:
        """Somebody looked at this; once an hour, however often and through however many gateways."""
        hour = int(self._clock() * 1000) // LOOK_MS
        name = json.dumps([by_user, subject, hour]).encode()
        digest = hashlib.blake2b(name, digest_size=16).hexdigest()
        await self._add(digest, by_user, "view", subject, detail)

    async def _add(
        self,
        id_: str,
        by_user: str,
        action: str,
        subject: str,
        detail: Mapping[str, Any] | None,
    ) -> None:
        row = {
            "id": id_,
            "at_ms": int(self._clock() * 1000),
            "by_user": by_user,
            "action": action,
            "subject": subject,
            "detail": json.dumps(dict(detail or {})),
        }
        async with writing(self._engine) as connection:
            await insert_new(connection, history_schema.audit, [row])

    async def page(
        self, wanted: DeedFilter, most: int, before: tuple[int, str] | None = None
    ) -> list[Deed]:
        """Entries, newest first.

        Args:
            wanted: which.
            most: so many at most.
            before: time and id of the last entry of the page before.
        """
        found = _which(wanted)
        if before is not None:
            at_ms, id_ = before
            found = and_(
                found, or_(_audit.at_ms < at_ms, and_(_audit.at_ms == at_ms, _audit.id > id_))
            )
        return await self._read(select(history_schema.audit).where(found).limit(most))

    async def all(self, wanted: DeedFilter) -> AsyncIterator[Deed]:
        """All entries, newest first, for an export."""
        before: tuple[int, str] | None = None
        while some := await self.page(wanted, _AT_ONCE, before):
            for deed in some:
                yield deed
            before = some[-1].at_ms, some[-1].id

    async def latest(self, action: str, subjects: Collection[str]) -> dict[str, Deed]:
        """The newest entry with this action of each of these subjects that has one."""
        newest = (
            select(_audit.subject, func.max(_audit.at_ms).label("at_ms"))
            .where(_audit.action == action, _audit.subject.in_(subjects))
            .group_by(_audit.subject)
            .subquery()
        )
        wanted = select(history_schema.audit).join(
            newest,
            and_(
                newest.c.subject == _audit.subject,
                newest.c.at_ms == _audit.at_ms,
                _audit.action == action,
            ),
        )
        return {deed.subject: deed for deed in await self._read(wanted)}

    async def newest(self, before_ms: int, most: int = 200) -> list[Deed]:
        """Entries before a time, newest first."""
        return await self.page(DeedFilter(until_ms=before_ms), most)

    async def _read(self, wanted: Select[Any]) -> list[Deed]:
        ordered = wanted.order_by(_audit.at_ms.desc(), _audit.id)
        async with self._engine.connect() as connection:
            found: Any = (await connection.execute(ordered)).mappings().all()
        return [Deed(**{**row, "detail": json.loads(row["detail"])}) for row in found]


def _which(wanted: DeedFilter) -> ColumnElement[bool]:
    parts: list[ColumnElement[bool]] = [
        _audit.at_ms >= wanted.from_ms,
        _audit.at_ms < wanted.until_ms,
    ]
    if wanted.by_user is not None:
        parts.append(_audit.by_user == wanted.by_user)
    if wanted.action is not None:
        parts.append(_audit.action == wanted.action)
    if wanted.subject is not None and wanted.subject.endswith(":"):
        parts.append(_audit.subject.startswith(wanted.subject, autoescape=True))
    elif wanted.subject is not None:
        parts.append(_audit.subject == wanted.subject)
    return and_(*parts)
