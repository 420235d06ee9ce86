"""Keeps advice and its dismissals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store import advice_schema as tables
from store.engine import writing
from store.history_schema import marks
from store.upsert import insert_new, upsert

_advice = tables.advice.c
_users = tables.advice_users.c
_gone = tables.advice_dismissals.c
#: When it was last asked for, and last found.
_ASKED: Final = "advice:asked"
_DONE: Final = "advice:done"
#: The scope of admins' dismissals.
ADMINS: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAdvice:
    """What a run has found."""

    id: str
    kind: str
    #: seconds a day
    gain: float
    gain_low: float
    gain_high: float
    users: tuple[str, ...]
    #: JSON-ready
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissal:
    """Somebody wants to hear no more of it."""

    by_user: str
    at_ms: int
    why: str
    #: what was to be gained then, seconds a day
    gain: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAdvice:
    """Advice as one person, or the admins, have it."""

    id: str
    kind: str
    since_ms: int
    found_ms: int
    #: None: it still holds
    ended_ms: int | None
    gain: float
    gain_low: float
    gain_high: float
    body: Mapping[str, Any]
    dismissal: Dismissal | None

    @property
    def dismissed(self) -> bool:
        """Dismissed, and not by far stronger since.

        It comes back when even the low end of what is to be gained exceeds what was to be
        gained when it was dismissed.
        """
        return self.dismissal is not None and self.gain_low <= self.dismissal.gain


@dataclass(frozen=True, slots=True)
class Turn:
    """When advice was last asked for and found, ms; None: never."""

    asked_ms: int | None
    done_ms: int | None


class SqlAdvice:
    """Reads and writes. Who may see what is the caller's to say, by ``scope``."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def replace(self, found: Sequence[FoundAdvice], now_ms: int) -> None:
        """Put a run's findings in the place of those of the run before.

        What is not among them has ended: its evidence is gone.
        """
        async with writing(self._engine) as connection:
            since = await _since(connection)
            ids = [one.id for one in found]
            await upsert(
                connection,
                tables.advice,
                [
                    _row(one, place, since.get(one.id, now_ms), now_ms)
                    for place, one in enumerate(found)
                ],
            )
            over = and_(_advice.ended_ms.is_(None), _advice.id.not_in(ids))
            await connection.execute(update(tables.advice).where(over).values(ended_ms=now_ms))
            stale = or_(_users.advice_id.in_(ids), _users.advice_id.not_in(select(_advice.id)))
            await connection.execute(delete(tables.advice_users).where(stale))
            named = [
                {"advice_id": one.id, "user_name": user} for one in found for user in one.users
            ]
            await insert_new(connection, tables.advice_users, named)
            await upsert(connection, marks, [{"name": _DONE, "at_ms": now_ms}])

    async def all(
        self, scope: str, *, ended_after_ms: int | None = None, most: int = 1000
    ) -> list[KeptAdvice]:
        """What gains most first.

        Args:
            scope: a user, whose own is read; ``ADMINS``: everything.
            ended_after_ms: also what ended after that; None: only what holds.
            most: rows at most.
        """
        holds: ColumnElement[bool] = _advice.ended_ms.is_(None)
        if ended_after_ms is not None:
            holds = or_(holds, _advice.ended_ms >= ended_after_ms)
        wanted = _for(scope).where(holds)
        wanted = wanted.order_by(_advice.ended_ms.is_not(None), _advice.place, _advice.id)
        async with self._engine.connect() as connection:
            rows: Any = (await connection.execute(wanted.limit(most))).mappings().all()
        return [_kept(row) for row in rows]

    async def one(self, advice_id: str, scope: str) -> KeptAdvice | None:
        """One, if it is among ``all``, ended or not."""
        wanted = _for(scope).where(_advice.id == advice_id)
        async with self._engine.connect() as connection:
            row: Any = (await connection.execute(wanted)).mappings().first()
        return None if row is None else _kept(row)

    async def dismiss(
        self, advice: KeptAdvice, scope: str, by_user: str, why: str, at_ms: int
    ) -> None:
        """Hide it from this user, or (``ADMINS``) from all admins, until it is far stronger."""
        row = {
            "advice_id": advice.id, "scope": scope, "by_user": by_user, "at_ms": at_ms,
            "why": why, "gain": advice.gain,
        }  # fmt: skip
        async with writing(self._engine) as connection:
            await upsert(connection, tables.advice_dismissals, [row])

    async def recall(self, advice_id: str, scope: str) -> bool:
        """Take a dismissal back; False: there was none."""
        own = and_(_gone.advice_id == advice_id, _gone.scope == scope)
        async with writing(self._engine) as connection:
            done = await connection.execute(delete(tables.advice_dismissals).where(own))
        return bool(done.rowcount)

    async def ask(self, now_ms: int) -> None:
        """Have it found anew soon."""
        async with writing(self._engine) as connection:
            await upsert(connection, marks, [{"name": _ASKED, "at_ms": now_ms}])

    async def turn(self) -> Turn:
        """How far that is."""
        wanted = select(marks.c.name, marks.c.at_ms).where(marks.c.name.in_((_ASKED, _DONE)))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        found = {name: at_ms for name, at_ms in rows}
        return Turn(found.get(_ASKED), found.get(_DONE))


def _for(scope: str) -> Select[*tuple[Any, ...]]:
    mine = and_(_gone.advice_id == _advice.id, _gone.scope == scope)
    wanted = select(
        tables.advice, _gone.by_user, _gone.at_ms, _gone.why, _gone.gain.label("gain_then")
    ).join_from(tables.advice, tables.advice_dismissals, mine, isouter=True)
    if scope != ADMINS:
        concerned = select(_users.advice_id).where(_users.user_name == scope)
        wanted = wanted.where(_advice.id.in_(concerned))
    return wanted


async def _since(connection: AsyncConnection) -> dict[str, int]:
    """Since when what holds has been found."""
    wanted = select(_advice.id, _advice.since_ms).where(_advice.ended_ms.is_(None))
    return {advice_id: since for advice_id, since in (await connection.execute(wanted)).all()}


def _row(one: FoundAdvice, place: int, since_ms: int, now_ms: int) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind,
        "since_ms": since_ms,
        "found_ms": now_ms,
        "ended_ms": None,
        "place": place,
        "gain": one.gain,
        "gain_low": one.gain_low,
        "gain_high": one.gain_high,
        "body": json.dumps(one.body, separators=(",", ":"), ensure_ascii=False),
    }


def _kept(row: Mapping[str, Any]) -> KeptAdvice:
    names = ("id", "kind", "since_ms", "found_ms", "ended_ms", "gain", "gain_low", "gain_high")
    dismissal = None
    if row["by_user"] is not None:
        dismissal = Dismissal(
            by_user=row["by_user"], at_ms=row["at_ms"], why=row["why"], gain=row["gain_then"]
        )
    return KeptAdvice(
        **{name: row[name] for name in names}, body=json.loads(row["body"]), dismissal=dismissal
    )
