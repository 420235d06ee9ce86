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
#: (below, ms apart): waits are told apart to a tenth of what they are, or better.
_STEPS: Final = ((2_000, 100), (10_000, 500), (60_000, 2_000), (600_000, 20_000))
_COARSEST_MS: Final = 60_000
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
    ) -> dict[str, Waits]:
        """Of jobs that ended between two times and ran; until the admission that ended them.

        Args:
            from_ms: of the ends.
            until_ms: not part of it.
            by: what they are told apart by.
            user: only this user's.
        """
        wait = _jobs.admitted_ms - _jobs.submitted_ms
        rounded = case(
            *((wait < below, wait - wait % step) for below, step in _STEPS),
            else_=wait - wait % _COARSEST_MS,
        ).label("wait_ms")
        name = _COLUMNS[by].label("name")
        # the wait first: by the name first SQLite would go by users' index, and read all rows
        wanted = (
            select(rounded, name, func.count())
            .where(
                _jobs.ended_ms >= from_ms,
                _jobs.ended_ms < until_ms,
                _jobs.submitted_ms > 0,
                _jobs.admitted_ms >= _jobs.submitted_ms,
            )
            .group_by(rounded.name, name.name)
        )
        if user is not None:
            wanted = wanted.where(_jobs.user_name == user)
        found: dict[str, Waits] = defaultdict(Counter)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
            models: dict[str, str] = {}
            if by is By.MODEL:
                models = await _models(connection, {told for _, told, _ in rows})
        for wait_ms, told, jobs in rows:
            found[models.get(told, "") if by is By.MODEL else told][int(wait_ms)] += jobs
        return dict(found)


async def _models(connection: AsyncConnection, fingerprints: set[str]) -> dict[str, str]:
    """Main models by fingerprint."""
    usage = history_schema.usage.c
    wanted = (
        select(usage.fingerprint, func.max(usage.model))
        .where(usage.fingerprint.in_(fingerprints))
        .group_by(usage.fingerprint)
    )
    return {row[0]: row[1] for row in (await connection.execute(wanted)).all()}


def quantile_ms(waits: Waits, share: float) -> int | None:
    """The least wait that at least so many of the jobs do not exceed; None: no jobs."""
    left = max(1, math.ceil(share * waits.total()))
    for wait_ms in sorted(waits):
        left -= waits[wait_ms]
        if left <= 0:
            return wait_ms
    return None
