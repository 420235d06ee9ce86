"""What alerts are looked at and written with: one writer at a time, whoever it is.

Each look names the time of the last one; where somebody else has looked since, nothing of it is
written. So two processes that both believe to be the one that looks do no harm.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Table, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store import alert_schema, history_schema
from store.alert_records import Alert, AlertState, Message, RuleSight, Silence, ToldGroup
from store.engine import writing
from store.upsert import claim_row, insert_new, upsert

_alerts = history_schema.alerts
_marks = history_schema.marks
#: Name of the mark of the last look.
LOOKED_MARK: Final = "alerts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the last look left."""

    #: None: nobody has ever looked
    looked_ms: int | None
    states: tuple[AlertState, ...]
    groups: tuple[ToldGroup, ...]
    #: those that may be in force
    silences: tuple[Silence, ...]
    #: alert → why it is muted, of those that fire
    muted: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look writes. All of it, or nothing."""

    now_ms: int
    states: Iterable[AlertState]
    #: new ones and those that go on
    alerts: Sequence[Alert]
    #: alert → when it was over
    ended: Mapping[str, int]
    rules: Sequence[RuleSight]
    groups: Sequence[ToldGroup]
    messages: Sequence[Message]


class SqlAlertBooks:
    """For whoever looks at rules."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def standing(self, now_ms: int) -> Standing:
        """What the last look left; silences that are over by ``now_ms`` are left out."""
        async with self._engine.connect() as connection:
            looked = await connection.scalar(
                select(_marks.c.at_ms).where(_marks.c.name == LOOKED_MARK)
            )
            states = await _rows(connection, select(alert_schema.alert_states))
            groups = await _rows(connection, select(alert_schema.alert_groups))
            silences = history_schema.silences
            later = select(silences).where(silences.c.until_ms > now_ms)
            silenced = await _rows(connection, later)
            firing = select(_alerts.c.id, _alerts.c.muted).where(_alerts.c.ended_ms.is_(None))
            muted = await _rows(connection, firing)
        return Standing(
            looked_ms=looked,
            states=tuple(AlertState(**row) for row in states),
            groups=tuple(
                ToldGroup(**{**row, "told": frozenset(json.loads(row["told"]))}) for row in groups
            ),
            silences=tuple(Silence(**row) for row in silenced),
            muted={row["id"]: row["muted"] for row in muted},
        )

    async def named(self, ids: Collection[str]) -> list[Alert]:
        """Alerts by id, those that there are, oldest first."""
        if not ids:
            return []
        wanted = select(_alerts).where(_alerts.c.id.in_(ids))
        async with self._engine.connect() as connection:
            rows = await _rows(connection, wanted.order_by(_alerts.c.since_ms, _alerts.c.id))
        return [alert_of(row) for row in rows]

    async def write(self, look: Look, looked_ms: int | None) -> bool:
        """Write a look; ``looked_ms``: the last one's, as ``standing`` told.

        Returns:
            False: somebody else has looked since; nothing is written.

        Raises:
            SQLAlchemyError: the store does not take it now.
        """
        async with writing(self._engine) as connection:
            if not await _is_next(connection, look.now_ms, looked_ms):
                return False
            await _replace(connection, alert_schema.alert_states, map(asdict, look.states))
            await upsert(connection, _alerts, [_alert_row(alert) for alert in look.alerts])
            for ended_ms in sorted(set(look.ended.values())):
                ids = [alert for alert, at_ms in look.ended.items() if at_ms == ended_ms]
                over = update(_alerts).where(_alerts.c.id.in_(ids), _alerts.c.ended_ms.is_(None))
                await connection.execute(over.values(ended_ms=ended_ms))
            await _replace(connection, alert_schema.alert_rules, map(asdict, look.rules))
            await _replace(connection, alert_schema.alert_groups, map(_group_row, look.groups))
            messages = [asdict(message) for message in look.messages]
            await insert_new(connection, alert_schema.alert_messages, messages)
        return True


async def _is_next(connection: AsyncConnection, now_ms: int, looked_ms: int | None) -> bool:
    if looked_ms is None:
        return await claim_row(connection, _marks, {"name": LOOKED_MARK, "at_ms": now_ms})
    done = await connection.execute(
        update(_marks)
        .where(_marks.c.name == LOOKED_MARK, _marks.c.at_ms == looked_ms)
        .values(at_ms=now_ms)
    )
    return done.rowcount == 1


async def _replace(
    connection: AsyncConnection, table: Table, rows: Iterable[Mapping[str, Any]]
) -> None:
    """The table has these rows and no others: there are few of them."""
    await connection.execute(delete(table))
    await upsert(connection, table, [*rows])


def alert_of(row: Mapping[str, Any]) -> Alert:
    """A row of ``alerts`` as a value."""
    return Alert(**{**row, "detail": json.loads(row["detail"])})


def _alert_row(alert: Alert) -> dict[str, Any]:
    return {**asdict(alert), "detail": json.dumps(dict(alert.detail), ensure_ascii=False)}


def _group_row(group: ToldGroup) -> dict[str, Any]:
    return {**asdict(group), "told": json.dumps(sorted(group.told))}


async def _rows(connection: AsyncConnection, wanted: Any) -> list[dict[str, Any]]:
    found: Any = (await connection.execute(wanted)).mappings().all()
    return [dict(row) for row in found]
