"""Ended jobs and their outputs, for ``/history`` beyond what Redis keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from scheduler.ledger import FileRecord
from store import schema
from store.engine import writing
from store.records import PastHead, PastJob
from store.upsert import upsert

#: Marks a row of ``hidden`` that means all of a user's jobs.
_ALL: Final = ""
#: What a job that never ran has to show.
_NO_RESULT: Final = b'{"outputs": {}, "status": null, "meta": {}}'

_jobs = schema.jobs.c
_PAST: Final = (
    _jobs.id,
    _jobs.prompt_id,
    _jobs.number,
    _jobs.client_id,
    _jobs.state,
    _jobs.submitted_ms,
    _jobs.started_ms,
    _jobs.ended_ms,
    _jobs.prompt,
    _jobs.result,
)


class SqlArchive:
    """The gateway's archive on the SQL store; the recorder fills it."""

    def __init__(self, engine: AsyncEngine, clock: Callable[[], float]) -> None:
        """``clock``: seconds since the epoch."""
        self._engine = engine
        self._clock = clock

    async def ended(
        self,
        user: str,
        *,
        newest: int | None,
        before_ms: int,
        skip: int = 0,
        but: Sequence[str] = (),
    ) -> list[PastJob]:
        """The user's jobs that ended before ``before_ms``, oldest first.

        At most ``newest`` of them, past the ``skip`` newest; ``but`` are left out.
        """
        wanted = _newest_first(_older(_shown(user), before_ms, but))
        wanted = wanted.limit(newest).offset(skip or None)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        return [_past(row) for row in reversed(rows)]

    async def ends(
        self, user: str, *, newest: int, before_ms: int, but: Sequence[str] = ()
    ) -> list[tuple[str, int]]:
        """Id and time of end (ms) of what ``ended`` would give, newest first; bodies unread."""
        wanted = _older(_shown(user, _jobs.id, _jobs.ended_ms), before_ms, but)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_newest_first(wanted).limit(newest))).all()
        return [(job_id, ended_ms) for job_id, ended_ms in rows]

    async def count(
        self,
        user: str,
        *,
        before_ms: int,
        but: Sequence[str] = (),
        states: Sequence[str] | None = None,
    ) -> int:
        """How many ``ended`` would give without a limit; ``states``: only those."""
        wanted = _older(_shown(user, func.count()), before_ms, but)
        if states is not None:
            wanted = wanted.where(_jobs.state.in_(states))
        async with self._engine.connect() as connection:
            return int(await connection.scalar(wanted) or 0)

    async def heads(
        self,
        user: str,
        *,
        before_ms: int,
        but: Sequence[str],
        states: Sequence[str],
        by_duration: bool,
        descending: bool,
        most: int | None,
    ) -> list[PastHead]:
        """The first ``most`` by creation or duration, then number, then id; bodies unread."""
        key = _duration() if by_duration else _jobs.submitted_ms
        order = [
            column.desc() if descending else column for column in (key, _jobs.number, _jobs.id)
        ]
        columns = (_jobs.id, _jobs.number, _jobs.state, _jobs.submitted_ms, _duration())
        wanted = (
            _older(_shown(user, *columns), before_ms, but)
            .where(_jobs.state.in_(states))
            .order_by(*order)
            .limit(most)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        return [
            PastHead(id=id_, number=number, state=state, created_ms=created, duration_ms=duration)
            for id_, number, state, created, duration in rows
        ]

    async def read(self, user: str, job_ids: Sequence[str]) -> list[PastJob]:
        """These of the user's jobs, as far as they are shown, in no order."""
        wanted = _shown(user).where(_jobs.id.in_(job_ids))
        async with self._engine.connect() as connection:
            return [_past(row) for row in (await connection.execute(wanted)).all()]

    async def find(self, user: str, prompt_id: str) -> PastJob | None:
        """One ended job by the id its client knows; the newest, if the id was used twice."""
        wanted = (
            _shown(user)
            .where(_jobs.prompt_id == prompt_id)
            .order_by(_jobs.ended_ms.desc(), _jobs.id.desc())
            .limit(1)
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(wanted)).first()
        return None if row is None else _past(row)

    async def hide(self, user: str, prompt_ids: Sequence[str] | None) -> None:
        """Drop jobs (None: all) from the user's history; accounting keeps them.

        Also drops what has ended by now and the recorder has yet to write.
        """
        names = [_ALL] if prompt_ids is None else sorted(set(prompt_ids) - {_ALL})
        async with writing(self._engine) as connection:
            # The jobs' times are the Redis server's, whose clock may be ahead of ours.
            newest = await connection.scalar(
                select(func.max(_jobs.ended_ms)).where(_jobs.user_name == user)
            )
            until_ms = max(int(self._clock() * 1000), newest or 0)
            rows = [{"user_name": user, "prompt_id": name, "until_ms": until_ms} for name in names]
            await upsert(connection, schema.hidden, rows)

    async def file(self, user: str, type: str, subfolder: str, filename: str) -> FileRecord | None:
        """Where one of the user's outputs lies, or None."""
        files = schema.files.c
        wanted = select(schema.files).where(
            files.user_name == user,
            files.type == type,
            files.subfolder == subfolder,
            files.filename == filename,
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(wanted)).mappings().first()
        if row is None:
            return None
        return FileRecord(
            type=type,
            subfolder=subfolder,
            filename=filename,
            agent=row["agent"],
            worker=row["worker"],
            worker_subfolder=row["worker_subfolder"],
            worker_filename=row["worker_filename"],
        )


def _ran_or_failed() -> ColumnElement[bool]:
    # ComfyUI keeps no history of a prompt that was cancelled before it ran.
    return or_(_jobs.state != "CANCELLED", _jobs.started_ms > 0)


def _duration() -> ColumnElement[int]:
    return _jobs.ended_ms - func.coalesce(func.nullif(_jobs.started_ms, 0), _jobs.submitted_ms)


def _older(
    wanted: Select[*tuple[Any, ...]], before_ms: int, but: Sequence[str]
) -> Select[*tuple[Any, ...]]:
    older = wanted.where(_jobs.ended_ms < before_ms)
    return older.where(_jobs.id.not_in(but)) if but else older


def _newest_first(wanted: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return wanted.order_by(_jobs.ended_ms.desc(), _jobs.number.desc(), _jobs.id.desc())


def _shown(user: str, *columns: Any) -> Select[*tuple[Any, ...]]:
    return select(*(columns or _PAST)).where(
        _jobs.user_name == user, _jobs.prompt.is_not(None), _ran_or_failed(), ~_is_hidden()
    )


def _is_hidden() -> ColumnElement[bool]:
    hidden = schema.hidden.c
    return exists().where(
        hidden.user_name == _jobs.user_name,
        hidden.prompt_id.in_([_jobs.prompt_id, _ALL]),
        hidden.until_ms >= _jobs.ended_ms,
    )


def _past(row: Row[*tuple[Any, ...]]) -> PastJob:
    return PastJob(
        id=row.id,
        prompt_id=row.prompt_id,
        number=row.number,
        client_id=row.client_id,
        state=row.state,
        submitted_ms=row.submitted_ms,
        started_ms=row.started_ms,
        ended_ms=row.ended_ms,
        prompt=row.prompt,
        result=row.result or _NO_RESULT,
    )
