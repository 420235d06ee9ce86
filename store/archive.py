"""Ended jobs and their outputs, for ``/history`` beyond what Redis keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from scheduler.ledger import FileRecord
from store import schema
from store.engine import writing
from store.records import PastJob
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

    async def ended(self, user: str, *, newest: int | None, before_ms: int) -> list[PastJob]:
        """The user's jobs that ended before ``before_ms``, oldest first, at most the newest n."""
        wanted = (
            _shown(user)
            .where(_jobs.ended_ms < before_ms)
            .order_by(_jobs.ended_ms.desc(), _jobs.number.desc(), _jobs.id.desc())
            .limit(newest)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        return [_past(row) for row in reversed(rows)]

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


def _shown(user: str) -> Select[*tuple[Any, ...]]:
    return select(*_PAST).where(
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
        ended_ms=row.ended_ms,
        prompt=row.prompt,
        result=row.result or _NO_RESULT,
    )
