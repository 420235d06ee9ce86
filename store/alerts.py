"""Alerts for those who read of them, and silences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from store import alert_schema, history_schema
from store.alert_books import LOOKED_MARK, alert_of
from store.alert_records import Alert, AlertState, Message, RuleSight, Silence
from store.engine import writing
from store.upsert import insert_new

_alerts = history_schema.alerts
_silences = history_schema.silences
_marks = history_schema.marks
_messages = alert_schema.alert_messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """How many alerts fire and are not muted, of one rule and severity."""

    rule: str
    severity: str
    count: int


class SqlAlerts:
    """Reads alerts; makes and ends silences."""

    def __init__(
        self, engine: AsyncEngine, clock: Callable[[], float], new_id: Callable[[], str]
    ) -> None:
        """``clock``: seconds since the epoch; ``new_id``: never the same twice."""
        self._engine = engine
        self._clock = clock
        self._new_id = new_id

    async def looked_ms(self) -> int | None:
        """When rules were last looked at; None: never."""
        async with self._engine.connect() as connection:
            found: int | None = await connection.scalar(
                select(_marks.c.at_ms).where(_marks.c.name == LOOKED_MARK)
            )
        return found

    async def firing(self, user: str | None = None) -> list[Alert]:
        """All that fire, newest first; ``user``: only those of this user."""
        wanted = select(_alerts).where(_alerts.c.ended_ms.is_(None))
        if user is not None:
            wanted = wanted.where(_alerts.c.user_name == user)
        return await self._alerts(wanted.order_by(_alerts.c.since_ms.desc(), _alerts.c.id))

    async def past(
        self,
        from_ms: int,
        until_ms: int,
        *,
        user: str | None = None,
        rule: str | None = None,
        start: int = 0,
        rows: int = 100,
    ) -> list[Alert]:
        """Those that began to fire between two times, newest first, whether or not they still do."""
        wanted = select(_alerts).where(_alerts.c.since_ms >= from_ms, _alerts.c.since_ms < until_ms)
        if user is not None:
            wanted = wanted.where(_alerts.c.user_name == user)
        if rule is not None:
            wanted = wanted.where(_alerts.c.rule == rule)
        wanted = wanted.order_by(_alerts.c.since_ms.desc(), _alerts.c.id)
        return await self._alerts(wanted.offset(start).limit(rows))

    async def one(self, alert: str) -> Alert | None:
        """An alert by its id. Whose it is is the caller's to check."""
        found = await self._alerts(select(_alerts).where(_alerts.c.id == alert))
        return found[0] if found else None

    async def pending(self) -> list[AlertState]:
        """What is true and has not fired yet, longest first."""
        states = alert_schema.alert_states
        wanted = select(states).where(states.c.phase == "pending").order_by(states.c.since_ms)
        async with self._engine.connect() as connection:
            found: Any = (await connection.execute(wanted)).mappings().all()
        return [AlertState(**row) for row in found]

    async def rules(self) -> list[RuleSight]:
        """Each rule as the last look saw it."""
        async with self._engine.connect() as connection:
            found: Any = (await connection.execute(select(alert_schema.alert_rules))).mappings()
            return [RuleSight(**row) for row in found.all()]

    async def counts(self, user: str | None = None) -> list[Firing]:
        """How many fire and are not muted, for gauges and badges."""
        wanted = (
            select(_alerts.c.rule, _alerts.c.severity, func.count().label("count"))
            .where(_alerts.c.ended_ms.is_(None), _alerts.c.muted == "")
            .group_by(_alerts.c.rule, _alerts.c.severity)
        )
        if user is not None:
            wanted = wanted.where(_alerts.c.user_name == user)
        async with self._engine.connect() as connection:
            found: Any = (await connection.execute(wanted)).mappings().all()
        return [Firing(**row) for row in found]

    async def user_counts(self) -> list[tuple[str, str, int]]:
        """The same by user ("": nobody's in particular) and severity."""
        wanted = (
            select(_alerts.c.user_name, _alerts.c.severity, func.count())
            .where(_alerts.c.ended_ms.is_(None), _alerts.c.muted == "")
            .group_by(_alerts.c.user_name, _alerts.c.severity)
            .order_by(_alerts.c.user_name, _alerts.c.severity)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        return [(user, severity, int(count)) for user, severity, count in rows]

    async def messages(self, most: int = 100) -> list[Message]:
        """The newest messages, newest first."""
        wanted = select(_messages).order_by(_messages.c.made_ms.desc(), _messages.c.id).limit(most)
        async with self._engine.connect() as connection:
            found: Any = (await connection.execute(wanted)).mappings().all()
        return [Message(**row) for row in found]

    async def silences(self, *, also_over: bool = False) -> list[Silence]:
        """Those in force or to come, those that end first, first."""
        wanted = select(_silences).order_by(_silences.c.until_ms, _silences.c.id)
        if not also_over:
            wanted = wanted.where(_silences.c.until_ms > self._now_ms())
        async with self._engine.connect() as connection:
            found: Any = (await connection.execute(wanted)).mappings().all()
        return [Silence(**row) for row in found]

    async def silence(
        self, rule: str, subject: str, until_ms: int, by_user: str, why: str
    ) -> Silence:
        """Tell nobody of such alerts from now on."""
        made = Silence(
            id=self._new_id(),
            rule=rule,
            subject=subject,
            from_ms=self._now_ms(),
            until_ms=until_ms,
            by_user=by_user,
            why=why,
        )
        async with writing(self._engine) as connection:
            await insert_new(connection, _silences, [asdict(made)])
        return made

    async def end_silence(self, silence: str) -> Silence | None:
        """End one that is in force now; None: there is none of this id that is."""
        now_ms = self._now_ms()
        mine = _silences.c.id == silence
        async with writing(self._engine) as connection:
            found: Any = (
                (
                    await connection.execute(
                        select(_silences).where(mine, _silences.c.until_ms > now_ms)
                    )
                )
                .mappings()
                .first()
            )
            if found is None:
                return None
            await connection.execute(update(_silences).where(mine).values(until_ms=now_ms))
        return Silence(**{**found, "until_ms": now_ms})

    async def _alerts(self, wanted: Any) -> list[Alert]:
        async with self._engine.connect() as connection:
            found: Any = (await connection.execute(wanted)).mappings().all()
        return [alert_of(row) for row in found]

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
