"""Who used what: sums of usage by anything, exact however large."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from store import history_schema
from store.records import By, UsageSum

_usage = history_schema.usage.c
#: Sums are put together from parts of so many bits: a database's sum of integers may overflow.
_HALF: Final = 32
_SUMS: Final = ("gpu_us", "byte_ms", "cost_us", "energy_mj", "jobs", "failed", "wait_ms")
_DAY_MS: Final = 86_400_000


_COLUMNS: Final[Mapping[By, Any]] = {
    By.USER: _usage.user_name,
    By.GROUP: _usage.group_name,
    By.WORKFLOW: _usage.fingerprint,
    By.MODEL: _usage.model,
    By.GPU: _usage.gpu,
}


class SqlUsers:
    """Reads the recorder's sums."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def sums(
        self,
        from_ms: int,
        until_ms: int,
        by: By = By.USER,
        *,
        user: str | None = None,
        each_ms: int | None = None,
        zone_ms: int = 0,
    ) -> list[UsageSum]:
        """Usage between two times (of whole hours), most GPU time first.

        Args:
            from_ms: the first hour.
            until_ms: after the last hour.
            by: what it is summed up by.
            user: only this user's.
            each_ms: apart for each stretch of this length, for example a day; None: all of it.
            zone_ms: how much local time is ahead of UTC: where the stretches begin.
        """
        wanted = _sums(_COLUMNS[by], from_ms, until_ms, each_ms, zone_ms)
        if user is not None:
            wanted = wanted.where(_usage.user_name == user)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        found = [_sum(row, each_ms is not None) for row in rows]
        return sorted(found, key=lambda one: (one.at_ms or 0, -one.gpu_us, one.name))


def _sums(
    column: ColumnElement[str], from_ms: int, until_ms: int, each_ms: int | None, zone_ms: int
) -> Select[*tuple[Any, ...]]:
    parts = []
    for name in _SUMS:
        whole = _usage[name]
        parts.append(func.sum(whole // 2**_HALF).label(f"{name}_high"))
        parts.append(func.sum(whole % 2**_HALF).label(f"{name}_low"))
    groups: list[Any] = [column.label("name")]
    if each_ms is not None:
        local = _usage.hour_ms + zone_ms
        groups.append((_usage.hour_ms - local % each_ms).label("at_ms"))
    return (
        select(*groups, *parts)
        .where(_usage.hour_ms >= from_ms, _usage.hour_ms < until_ms)
        .group_by(*(group.name for group in groups))
    )


def _sum(row: Any, apart: bool) -> UsageSum:
    whole = {name: (int(row[f"{name}_high"]) << _HALF) + int(row[f"{name}_low"]) for name in _SUMS}
    return UsageSum(name=row["name"], at_ms=int(row["at_ms"]) if apart else None, **whole)
