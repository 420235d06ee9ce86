"""What was recorded of a time, as far as it can be played again: jobs, GPUs, what hit them."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scheduler.states import Lane
from store import history_schema, schema
from store.folding import STEPS

_jobs = schema.jobs.c
_attempts = schema.attempts.c
_gpus = history_schema.gpu_samples.c
_runs = history_schema.prompt_runs.c
#: Samples that GPUs and other programs' memory are read from; of short spans, shorter ones: the
#: last minutes are not in the others yet.
_STEP_S: Final = 600
_SHORT_STEP_S: Final = 60
_SHORT_MS: Final = 6 * 3_600_000
_LONG_MS: Final = 2 * 24 * 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedJob:
    """A job that ran, and how long it waited for the admission that ended it."""

    id: str
    submitted_ms: int
    user: str
    group: str
    lane: Lane
    fingerprint: str
    model: str
    model_bytes: int
    need_bytes: int
    need_seconds: float
    #: as measured, what loading took left out where a probe told it
    run_seconds: float
    #: loading its models, expected
    load_seconds: float
    wait_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedGpu:
    """A GPU and the workers that it had."""

    id: str
    total_bytes: int
    workers: int


@dataclass(frozen=True, slots=True)
class Foreign:
    """From this moment on other programs hold so much of a GPU."""

    gpu: str
    at_ms: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Away:
    """A time in which a GPU's host reported nothing, while the queue was sampled."""

    gpu: str
    from_ms: int
    until_ms: int


class SqlPast:
    """Reads what the recorder wrote."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def jobs(self, from_ms: int, until_ms: int, most: int) -> list[PlayedJob]:
        """Jobs on GPUs that were sent in the span and have ended; oldest first, at most so many."""
        probed = and_(_runs.job_id == _jobs.id, _runs.attempt == _jobs.attempts)
        wanted = (
            select(
                _jobs.id,
                _jobs.submitted_ms,
                _jobs.user_name,
                _jobs.group_name,
                _jobs.lane,
                _jobs.fingerprint,
                _jobs.model,
                _jobs.model_bytes,
                _jobs.need_bytes,
                _jobs.need_seconds,
                _jobs.run_seconds,
                _jobs.load_seconds,
                _jobs.admitted_ms,
                func.coalesce(_runs.load_seconds, 0.0).label("loading"),
            )
            .join_from(schema.jobs, history_schema.prompt_runs, probed, isouter=True)
            .where(
                _jobs.ended_ms >= from_ms,
                _jobs.submitted_ms >= from_ms,
                _jobs.submitted_ms < until_ms,
                _jobs.started_ms > 0,
                _jobs.needs_gpu,
            )
            .order_by(_jobs.submitted_ms, _jobs.id)
            .limit(most)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        return [
            PlayedJob(
                id=row.id,
                submitted_ms=row.submitted_ms,
                user=row.user_name,
                group=row.group_name,
                lane=Lane(row.lane),
                fingerprint=row.fingerprint,
                model=row.model,
                model_bytes=row.model_bytes,
                need_bytes=row.need_bytes,
                need_seconds=row.need_seconds,
                run_seconds=max(0.0, (row.run_seconds or row.need_seconds) - row.loading),
                load_seconds=row.load_seconds,
                wait_ms=max(0, row.admitted_ms - row.submitted_ms),
            )
            for row in rows
        ]

    async def gpus(self, from_ms: int, until_ms: int) -> list[PlayedGpu]:
        """GPUs that were sampled in the span, and how many workers each had, by id."""
        step_s = _step(from_ms, until_ms)
        within = _of_step(step_s, from_ms, until_ms)
        if until_ms - from_ms > _LONG_MS:
            # who was there is in the longest steps, too; the last of them may not be made yet
            newest = until_ms - 2 * STEPS[-1] * 1000
            within = or_(_of_step(STEPS[-1], from_ms, until_ms), _of_step(step_s, newest, until_ms))
        samples = select(_gpus.gpu, _gpus.total_bytes, _gpus.holders).where(within)
        tries = (
            select(_attempts.gpu, _attempts.worker)
            .where(_attempts.ended_ms >= from_ms, _attempts.admitted_ms < until_ms)
            .distinct()
        )
        total: dict[str, int] = {}
        workers: dict[str, set[str]] = defaultdict(set)
        async with self._engine.connect() as connection:
            for gpu, bytes_, holders in (await connection.execute(samples)).all():
                total[gpu] = bytes_
                workers[gpu].update(holder[0] for holder in json.loads(holders))
            for gpu, worker in (await connection.execute(tries)).all():
                if gpu and worker:
                    workers[gpu].add(worker)
        return [
            PlayedGpu(id=gpu, total_bytes=bytes_, workers=max(1, len(workers[gpu])))
            for gpu, bytes_ in sorted(total.items())
            if bytes_
        ]

    async def foreign(self, from_ms: int, until_ms: int) -> list[Foreign]:
        """What other programs held, oldest first; only where it changes."""
        step_s = _step(from_ms, until_ms)
        begin = from_ms - from_ms % (step_s * 1000)
        wanted = (
            select(_gpus.gpu, _gpus.at_ms, _gpus.foreign_bytes)
            .where(_gpus.step_s == step_s, _gpus.at_ms >= begin, _gpus.at_ms < until_ms)
            .order_by(_gpus.at_ms, _gpus.gpu)
        )
        found: list[Foreign] = []
        last: dict[str, int] = {}
        async with self._engine.connect() as connection:
            for gpu, at_ms, bytes_ in (await connection.execute(wanted)).all():
                if bytes_ != last.get(gpu, 0):
                    found.append(Foreign(gpu, at_ms, bytes_))
                    last[gpu] = bytes_
        return found

    async def away(self, from_ms: int, until_ms: int) -> list[Away]:
        """When hosts were away, oldest first: at least two minutes, told by the minute."""
        step_ms = _SHORT_STEP_S * 1000
        following = func.lead(_gpus.at_ms).over(partition_by=_gpus.gpu, order_by=_gpus.at_ms)
        samples = (
            select(_gpus.gpu, _gpus.at_ms, following.label("next_ms"))
            .where(_gpus.step_s == _SHORT_STEP_S, _gpus.at_ms >= from_ms, _gpus.at_ms < until_ms)
            .subquery()
        )
        silent = samples.c.next_ms - samples.c.at_ms - step_ms
        wanted = (
            select(samples.c.gpu, samples.c.at_ms + step_ms, samples.c.next_ms)
            .where(silent >= 2 * step_ms)
            .order_by(samples.c.at_ms, samples.c.gpu)
        )
        async with self._engine.connect() as connection:
            found = [Away(*row) for row in (await connection.execute(wanted)).all()]
            # where the queue was not sampled either, it was the recorder that was away
            return [one for one in found if await _sampled(connection, one)]


async def _sampled(connection: AsyncConnection, one: Away) -> bool:
    pool = history_schema.pool_samples.c
    there = await connection.scalar(
        select(func.count()).where(
            pool.step_s == _SHORT_STEP_S, pool.at_ms >= one.from_ms, pool.at_ms < one.until_ms
        )
    )
    return 2 * (there or 0) * _SHORT_STEP_S * 1000 > one.until_ms - one.from_ms


def _of_step(step_s: int, from_ms: int, until_ms: int) -> ColumnElement[bool]:
    begin = from_ms - from_ms % (step_s * 1000)
    return and_(_gpus.step_s == step_s, _gpus.at_ms >= begin, _gpus.at_ms < until_ms)


def _step(from_ms: int, until_ms: int) -> int:
    return _SHORT_STEP_S if until_ms - from_ms <= _SHORT_MS else _STEP_S
