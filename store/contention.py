"""Who is in whose way: peaks, the week's pattern, what was blocked by what, near misses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from store import history_schema, schema
from store.folding import WAIT_STEPS
from store.schema import NEAR_MISS

_waits = history_schema.waits.c
_pool = history_schema.pool_samples.c
_gpus = history_schema.gpu_samples.c
_jobs = schema.jobs.c
_marks = history_schema.marks.c
_HOUR_S: Final = 3600
#: Spans up to a day and an hour are looked at minute by minute.
_FINE_MS: Final = 25 * 3_600_000
_FINE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Blocked:
    """Time that jobs waited for a reason."""

    #: whose; "" where it is the sum of all
    user: str
    reason: str
    #: ``gpu:<id>``, ``worker:<id>``, ``user:<name>``, "": none in particular
    blocker: str
    job_ms: int


@dataclass(frozen=True, slots=True)
class HourOfWeek:
    """What an hour of the week is like; means over the span's weeks."""

    #: 0: Monday
    weekday: int
    hour: int
    queued: float
    running: float
    #: share of all GPUs' memory that was held, 0…1; None: no samples
    held: float | None
    #: None: not told
    utilisation: float | None


@dataclass(frozen=True, slots=True)
class Peak:
    """An hour with much going on."""

    at_ms: int
    most_queued: int
    most_running: int
    longest_wait_ms: int


@dataclass(frozen=True, slots=True)
class LeastFree:
    """When a GPU had least free memory."""

    gpu: str
    at_ms: int
    free_bytes: int
    #: held by other programs then
    foreign_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A job that ran out of memory, or used nearly all it was promised."""

    job: str
    user: str
    fingerprint: str
    gpu: str
    ended_ms: int
    reserved_bytes: int
    peak_bytes: int
    ooms: int


class SqlContention:
    """Reads what the recorder has of waits, queue and memory."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def blocked(
        self, from_ms: int, until_ms: int, *, user: str | None = None, by_user: bool = False
    ) -> list[Blocked]:
        """What jobs waited for between two times (of whole hours), longest first."""
        time = func.sum(_waits.job_ms)
        names = [_waits.reason, _waits.blocker, *([_waits.user_name] if by_user else [])]
        async with self._engine.connect() as connection:
            # what is not yet summed up by the hour is there in shorter steps
            mark = select(_marks.at_ms).where(_marks.name == f"waits:{_HOUR_S}")
            hours_ms = await connection.scalar(mark) or from_ms
            hourly = and_(_waits.step_s == _HOUR_S, _waits.at_ms >= from_ms)
            newest = and_(_waits.step_s == WAIT_STEPS[0], _waits.at_ms >= max(from_ms, hours_ms))
            wanted = (
                select(*names, time)
                .where(or_(hourly, newest), _waits.at_ms < until_ms)
                .group_by(*names)
                .order_by(time.desc())
            )
            if user is not None:
                wanted = wanted.where(_waits.user_name == user)
            rows = (await connection.execute(wanted)).all()
        return [Blocked(row[2] if by_user else "", row[0], row[1], int(row[-1])) for row in rows]

    async def peaks(self, from_ms: int, until_ms: int, most: int = 20) -> list[Peak]:
        """The hours in which most waited."""
        wanted = (
            select(_pool.at_ms, _pool.most_queued, _pool.most_running, _pool.longest_wait_ms)
            .where(_pool.step_s == _HOUR_S, _pool.at_ms >= from_ms, _pool.at_ms < until_ms)
            .order_by(_pool.most_queued.desc(), _pool.at_ms.desc())
            .limit(most)
        )
        async with self._engine.connect() as connection:
            return [Peak(*row) for row in (await connection.execute(wanted)).all()]

    async def least_free(self, from_ms: int, until_ms: int) -> list[LeastFree]:
        """Of each GPU the moment with least free memory, by GPU."""
        step = _HOUR_S if until_ms - from_ms > _FINE_MS else _FINE_S
        ranked = (
            select(
                _gpus.gpu,
                _gpus.at_ms,
                _gpus.least_free_bytes,
                _gpus.foreign_bytes,
                _gpus.total_bytes,
                func.row_number()
                .over(partition_by=_gpus.gpu, order_by=(_gpus.least_free_bytes, _gpus.at_ms))
                .label("place"),
            )
            .where(_gpus.step_s == step, _gpus.at_ms >= from_ms, _gpus.at_ms < until_ms)
            .subquery()
        )
        wanted = select(*list(ranked.c)[:-1]).where(ranked.c.place == 1).order_by(ranked.c.gpu)
        async with self._engine.connect() as connection:
            return [LeastFree(*row) for row in (await connection.execute(wanted)).all()]

    async def week(self, from_ms: int, until_ms: int, zone: str = "UTC") -> list[HourOfWeek]:
        """The heat map, by hours of a time zone; hours without samples are left out."""
        pool = select(_pool.at_ms, _pool.queued, _pool.running).where(
            _pool.step_s == _HOUR_S, _pool.at_ms >= from_ms, _pool.at_ms < until_ms
        )
        gpus = (
            select(
                _gpus.at_ms,
                func.sum(_gpus.total_bytes - _gpus.free_bytes),
                func.sum(_gpus.total_bytes),
                func.avg(_gpus.utilisation),
            )
            .where(_gpus.step_s == _HOUR_S, _gpus.at_ms >= from_ms, _gpus.at_ms < until_ms)
            .group_by(_gpus.at_ms)
        )
        async with self._engine.connect() as connection:
            lines = (await connection.execute(pool)).all()
            cards = {row[0]: row for row in (await connection.execute(gpus)).all()}
        return _heat_map(lines, cards, ZoneInfo(zone))

    async def near_misses(
        self, from_ms: int, until_ms: int, most: int = 100, *, user: str | None = None
    ) -> list[NearMiss]:
        """Newest first; only this user's, if one is named."""
        wanted = (
            select(
                _jobs.id,
                _jobs.user_name,
                _jobs.fingerprint,
                _jobs.gpu,
                _jobs.ended_ms,
                _jobs.reserved_bytes,
                _jobs.peak_bytes,
                _jobs.ooms,
            )
            .where(_jobs.ended_ms >= from_ms, _jobs.ended_ms < until_ms, NEAR_MISS)
            .order_by(_jobs.ended_ms.desc())
            .limit(most)
        )
        if user is not None:
            wanted = wanted.where(_jobs.user_name == user)
        async with self._engine.connect() as connection:
            return [NearMiss(*row) for row in (await connection.execute(wanted)).all()]


def _heat_map(lines: Any, cards: Mapping[int, Any], zone: ZoneInfo) -> list[HourOfWeek]:
    hours: dict[tuple[int, int], list[tuple[Any, Any]]] = defaultdict(list)
    for line in lines:
        at = datetime.fromtimestamp(line[0] / 1000, UTC).astimezone(zone)
        hours[at.weekday(), at.hour].append((line, cards.get(line[0])))
    return [
        HourOfWeek(
            weekday,
            hour,
            queued=sum(line[1] for line, _ in some) / len(some),
            running=sum(line[2] for line, _ in some) / len(some),
            held=_mean([float(card[1]) / float(card[2]) for _, card in some if card and card[2]]),
            utilisation=_mean([float(card[3]) for _, card in some if card and card[3] is not None]),
        )
        for (weekday, hour), some in sorted(hours.items())
    ]


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
