"""What would have been: questions of admins, and what the simulator answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from store import history_schema
from store.engine import writing

_table = history_schema.what_ifs
_columns = _table.c
#: Older ones are dropped when another is asked.
MOST: Final = 50
Json = Mapping[str, Any]


class Progress(StrEnum):
    """How far one is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """One question; ``store.history_schema.what_ifs`` has the units."""

    id: str
    asked_ms: int
    by_user: str
    from_ms: int
    until_ms: int
    change: Json
    rules: Json
    state: Progress = Progress.WAITING
    started_ms: int | None = None
    ended_ms: int | None = None
    result: Json | None = None
    problem: str | None = None


class SqlWhatIfs:
    """Keeps the newest ones."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def ask(self, one: WhatIf) -> None:
        """Add a question."""
        row = {
            "id": one.id,
            "asked_ms": one.asked_ms,
            "by_user": one.by_user,
            "from_ms": one.from_ms,
            "until_ms": one.until_ms,
            "change": json.dumps(dict(one.change)),
            "rules": json.dumps(dict(one.rules)),
            "state": one.state.value,
        }
        async with writing(self._engine) as connection:
            await connection.execute(_table.insert(), [row])
            newest = select(_columns.id).order_by(_columns.asked_ms.desc(), _columns.id).limit(MOST)
            kept = set((await connection.scalars(newest)).all())
            await connection.execute(delete(_table).where(_columns.id.not_in(kept)))

    async def one(self, id_: str) -> WhatIf | None:
        """One of them; None: there is none, or none any more."""
        async with self._engine.connect() as connection:
            wanted = select(_table).where(_columns.id == id_)
            row: Any = (await connection.execute(wanted)).mappings().first()
        return None if row is None else _what_if(row)

    async def newest(self) -> list[WhatIf]:
        """All that are kept, newest first."""
        async with self._engine.connect() as connection:
            wanted = select(_table).order_by(_columns.asked_ms.desc(), _columns.id)
            rows: Any = (await connection.execute(wanted)).mappings().all()
        return [_what_if(row) for row in rows]

    async def start(self, id_: str, now_ms: int) -> None:
        """It runs."""
        await self._write(id_, state=Progress.RUNNING.value, started_ms=now_ms)

    async def done(self, id_: str, now_ms: int, result: Json) -> None:
        """It has an answer."""
        text = json.dumps(dict(result))
        await self._write(id_, state=Progress.DONE.value, ended_ms=now_ms, result=text)

    async def failed(self, id_: str, now_ms: int, problem: str) -> None:
        """It has none, and why."""
        await self._write(id_, state=Progress.FAILED.value, ended_ms=now_ms, problem=problem)

    async def _write(self, id_: str, **values: Any) -> None:
        async with writing(self._engine) as connection:
            await connection.execute(update(_table).where(_columns.id == id_).values(**values))


def _what_if(row: Mapping[str, Any]) -> WhatIf:
    return WhatIf(
        **{
            **row,
            "change": json.loads(row["change"]),
            "rules": json.loads(row["rules"]),
            "state": Progress(row["state"]),
            "result": None if row["result"] is None else json.loads(row["result"]),
        }
    )
