"""Messages that wait to be sent: each is taken by one sender at a time, until it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from store import alert_schema
from store.alert_records import Message
from store.engine import writing
from store.upsert import insert_new

_messages = alert_schema.alert_messages


class SqlAlertMessages:
    """For whoever sends."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, messages: Sequence[Message]) -> None:
        """Put messages into the line."""
        async with writing(self._engine) as connection:
            await insert_new(connection, _messages, [asdict(message) for message in messages])

    async def due(self, now_ms: int, most: int = 50) -> list[Message]:
        """Those whose time has come, oldest first."""
        wanted = (
            select(_messages)
            .where(_messages.c.done_ms.is_(None), _messages.c.next_ms <= now_ms)
            .order_by(_messages.c.next_ms, _messages.c.id)
            .limit(most)
        )
        async with self._engine.connect() as connection:
            found: Any = (await connection.execute(wanted)).mappings().all()
        return [Message(**row) for row in found]

    async def take(self, message: Message, until_ms: int) -> bool:
        """Have it alone until then, this try counted; False: somebody else has it."""
        mine = (
            update(_messages)
            .where(
                _messages.c.id == message.id,
                _messages.c.done_ms.is_(None),
                _messages.c.tries == message.tries,
                _messages.c.next_ms == message.next_ms,
            )
            .values(tries=message.tries + 1, next_ms=until_ms)
        )
        async with writing(self._engine) as connection:
            done = await connection.execute(mine)
        return done.rowcount == 1

    async def finish(self, message: str, result: str, error: str, now_ms: int) -> None:
        """It is over: ``sent`` or ``given_up``."""
        await self._set(message, done_ms=now_ms, result=result, error=error)

    async def postpone(self, message: str, error: str, next_ms: int) -> None:
        """It failed; it is tried again then."""
        await self._set(message, next_ms=next_ms, error=error)

    async def _set(self, message: str, **values: Any) -> None:
        async with writing(self._engine) as connection:
            await connection.execute(
                update(_messages).where(_messages.c.id == message).values(**values)
            )
