"""Who did and saw what, where that is to be known later."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from store import history_schema
from store.engine import writing
from store.upsert import insert_new

_audit = history_schema.audit.c


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
    detail: Mapping[str, Any]


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
        row = {
            "id": self._new_id(),
            "at_ms": int(self._clock() * 1000),
            "by_user": by_user,
            "action": action,
            "subject": subject,
            "detail": json.dumps(dict(detail or {})),
        }
        async with writing(self._engine) as connection:
            await insert_new(connection, history_schema.audit, [row])

    async def newest(self, before_ms: int, most: int = 200) -> list[Deed]:
        """Entries before a time, newest first."""
        wanted = (
            select(history_schema.audit)
            .where(_audit.at_ms < before_ms)
            .order_by(_audit.at_ms.desc(), _audit.id)
            .limit(most)
        )
        async with self._engine.connect() as connection:
            found: Any = (await connection.execute(wanted)).mappings().all()
        return [Deed(**{**row, "detail": json.loads(row["detail"])}) for row in found]
