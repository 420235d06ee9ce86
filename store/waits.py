"""How long jobs waited to be admitted, as counts of equal waits: quantiles are made of these."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store import history_schema, schema
from store.records import By

_jobs = schema.jobs.c
#: Waits are told apart by a tenth of a second, above ten seconds by a second.
_FINE_MS: Final = 100
_COARSE_MS: Final = 1000
_FINE_UNTIL_MS: Final = 10_000
_COLUMNS: Final[Mapping[By, Any]] = {
    By.USER: _jobs.user_name,
    By.GROUP: _jobs.group_name,
    By.WORKFLOW: _jobs.fingerprint,
    # what a fingerprint's main model is, usage says: names of models may be of any length, and
    # so are in no index
    By.MODEL: _jobs.fingerprint,
    By.GPU: _jobs.gpu,
}
#: wait in ms, rounded down → jobs
Waits = Counter[int]


class SqlWaits:
    """Reads ended jobs through an index that has all of these columns."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def counts(
        self,
        from_ms: int,
        until_ms: int,
        by: By = By.USER,
        *,
        user: str | None = None,
        each_ms: int | None = None,
        zone_ms: int = 0,
    ) -> dict[tuple[str, int | None], Waits]:
        """Of jobs that ended between two times and ran; until the admission that ended them.

        Args:
            from_ms: of the ends.
            until_ms: not part of it.
            by: what they are told apart by.
            user: only this user's.
            each_ms: apart for each stretch of this length, too.
            zone_ms: how much local time is ahead of UTC: where the stretches begin.
        """
        wait = _jobs.admitted_ms - _jobs.submitted_ms
        rounded = case(
            (wait < _FINE_UNTIL_MS, wait - wait % _FINE_MS), else_=wait - wait % _COARSE_MS
        ).label("wait_ms")
        groups: list[Any] = [_COLUMNS[by].label("name"), rounded]
        if each_ms is not None:
            at = _jobs.ended_ms - (_jobs.ended_ms + zone_ms) % each_ms
            groups.append(at.label("at_ms"))
        wanted = (
            select(*groups, func.count().label("jobs"))
            .where(
                _jobs.ended_ms >= from_ms,
                _jobs.ended_ms < until_ms,
                _jobs.submitted_ms > 0,
                _jobs.admitted_ms >= _jobs.submitted_ms,
            )
            .group_by(*(group.name for group in groups))
        )
        if user is not None:
            wanted = wanted.where(_jobs.user_name == user)
        found: dict[tuple[str, int | None], Waits] = defaultdict(Counter)
        async with self._engine.connect() as connection:
            models = await _models(connection) if by is By.MODEL else {}
            for row in (await connection.execute(wanted)).mappings().all():
                name = models.get(row["name"], "") if by is By.MODEL else row["name"]
                key = (name, int(row["at_ms"]) if each_ms is not None else None)
                found[key][int(row["wait_ms"])] += row["jobs"]
        return dict(found)


async def _models(connection: AsyncConnection) -> dict[str, str]:
    """Main models by fingerprint."""
    usage = history_schema.usage.c
    wanted = select(usage.fingerprint, func.max(usage.model)).group_by(usage.fingerprint)
    return {row[0]: row[1] for row in (await connection.execute(wanted)).all()}


def quantile_ms(waits: Waits, share: float) -> int | None:
    """The least wait that at least so many of the jobs do not exceed; None: no jobs."""
    left = max(1, math.ceil(share * waits.total()))
    for wait_ms in sorted(waits):
        left -= waits[wait_ms]
        if left <= 0:
            return wait_ms
    return None
