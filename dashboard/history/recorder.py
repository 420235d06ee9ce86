"""Writes what happened into the store, off every prompt's path.

The recorder reads the ledger's transitions in a consumer group: an event is
delivered again until it is acknowledged, and it is acknowledged once its rows
are committed. Dying in between writes the same rows a second time, which
changes nothing. While the store is down the events wait in Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dashboard.history.consume import Sleep, consume, store_or_skip
from dashboard.history.counting import count_attempts, count_costs, count_jobs
from dashboard.history.rows import (
    Row,
    attempt_row,
    bare_job_row,
    file_row,
    job_row,
    output_names,
    settled,
)
from dashboard.history.telling import Told, tells_nobody
from dashboard.metrics.counted import Tally
from scheduler.ledger import Event, Ledger
from scheduler.states import Job
from store import history_schema, schema, tallies
from store.accounts import RECORDED_MARK
from store.engine import writing
from store.upsert import insert_new, upsert

_log = structlog.get_logger()

#: Events of one batch at most.
BATCH_EVENTS: Final = 500
#: Jobs whose bodies are in memory at a time (a prompt may be 100 MiB, most are some KiB).
_JOBS_AT_ONCE: Final = 50
#: Look-ups under way at a time: fewer than the ledger has connections.
_FILES_AT_ONCE: Final = 8


class Recorder:
    """Consumes the ledger's events until cancelled; any number may run, each with its own name."""

    def __init__(
        self,
        ledger: Ledger,
        engine: AsyncEngine,
        clock: Callable[[], float],
        *,
        consumer: str = "recorder",
        tell: Told = tells_nobody,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``clock``: any seconds that grow; ``consumer``: the same after a restart.

        ``tell``: is told of jobs that are stored; must return at once.
        """
        self._tell = tell
        self._ledger = ledger
        self._engine = engine
        self._clock = clock
        self._consumer = consumer
        self._sleep = sleep

    async def run(self) -> None:
        """Record until cancelled. A ledger or store out of reach is waited for."""
        await consume("events", self.record_once, self._clock, self._sleep)

    async def record_once(self, block_ms: int = 1000) -> bool:
        """Write and acknowledge one batch; True: it was full, more is waiting.

        Raises:
            LedgerUnavailable: nothing was read or acknowledged.
            SQLAlchemyError: the store does not take it now; the batch comes again.
            OSError: likewise.
        """
        events = await self._ledger.record_events(self._consumer, block_ms, BATCH_EVENTS)
        if not events:
            return False
        await self._store(events)
        await self._ledger.acknowledge([event.id for event in events])
        return len(events) >= BATCH_EVENTS

    async def _store(self, events: Sequence[Event]) -> None:
        for part in _parts(events):
            await store_or_skip(part, self._store_part, _names)

    async def _store_part(self, events: Sequence[Event]) -> None:
        ends = settled(events)
        ids = list(ends)
        known, prompts, results = (
            await asyncio.gather(
                self._ledger.jobs(ids), self._ledger.prompts(ids), self._ledger.results(ids)
            )
            if ids
            else ([], [], [])
        )
        rows, bare, files = [], [], []
        jobs = [job for job in known if job is not None]
        for end, job, prompt, result in zip(ends.values(), known, prompts, results, strict=True):
            files += await self._file_rows(end, result)
            if job is None:
                _log.warning("job_record_gone", job=end.job, user=end.user, event_id=end.id)
                bare.append(bare_job_row(end))
            else:
                rows.append(job_row(job, prompt, result))
        async with writing(self._engine) as connection:
            await _count(connection, [*rows, *bare], jobs, events)
            await _write_jobs(connection, rows, bare)
            await _write_attempts(connection, events)
            await upsert(connection, schema.files, files)
            # what is added up later must know how far this is; two recorders may be at different
            # places, which the grace of ``account`` is for
            mark = {"name": RECORDED_MARK, "at_ms": events[-1].at_ms}
            await upsert(connection, history_schema.marks, [mark])
        self._tell(rows)

    async def _file_rows(self, end: Event, result: bytes | None) -> list[Row]:
        names = output_names(result)
        rows: list[Row] = []
        for start in range(0, len(names), _FILES_AT_ONCE):
            some = names[start : start + _FILES_AT_ONCE]
            found = await asyncio.gather(*(self._ledger.file(end.user, *name) for name in some))
            rows += [file_row(end.user, end.job, record) for record in found if record is not None]
        return rows


async def _write_jobs(
    connection: AsyncConnection, rows: Sequence[Row], bare: Sequence[Row]
) -> None:
    # A redelivered event may find the bodies trimmed by now: never replace them by nothing.
    complete = [row for row in rows if row["prompt"] is not None and row["result"] is not None]
    partial = [row for row in rows if row["prompt"] is None or row["result"] is None]
    await upsert(connection, schema.jobs, complete)
    await insert_new(connection, schema.jobs, [*partial, *bare])


async def _write_attempts(connection: AsyncConnection, events: Sequence[Event]) -> None:
    shapes: dict[tuple[str, ...], list[Row]] = {}
    for event in events:
        row = attempt_row(event)
        if row is not None:
            shapes.setdefault(tuple(row), []).append(row)
    for rows in shapes.values():
        await upsert(connection, schema.attempts, rows)


async def _count(
    connection: AsyncConnection, rows: Sequence[Row], jobs: Sequence[Job], events: Sequence[Event]
) -> None:
    """Count what the store does not have yet; before it is written."""
    tally = Tally()
    stored = schema.jobs.c.id
    ids = [row["id"] for row in rows]
    if ids:
        known = set(await connection.scalars(select(stored).where(stored.in_(ids))))
        count_jobs(tally, [row for row in rows if row["id"] not in known])
        count_costs(tally, [job for job in jobs if job.id not in known])
    tries = schema.attempts.c
    ends = [row for event in events if (row := attempt_row(event)) and "ended_ms" in row]
    if ends:
        wanted = select(tries.job_id, tries.attempt).where(
            tries.job_id.in_({row["job_id"] for row in ends}), tries.ended_ms.is_not(None)
        )
        done = {tuple(row) for row in await connection.execute(wanted)}
        count_attempts(tally, [one for one in ends if (one["job_id"], one["attempt"]) not in done])
    await tallies.add(connection, tally.counts)


def _parts(events: Sequence[Event]) -> list[Sequence[Event]]:
    """Cut a batch so that no part ends more than ``_JOBS_AT_ONCE`` jobs."""
    parts, start, ends = [], 0, 0
    for position, event in enumerate(events):
        ends += event.job in settled([event])
        if ends > _JOBS_AT_ONCE:
            parts.append(events[start:position])
            start, ends = position, 1
    return [*parts, events[start:]]


def _names(event: Event) -> dict[str, str]:
    return {"event_id": event.id, "job": event.job, "user": event.user}
