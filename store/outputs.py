"""Every user's files as upkeep sees them: how old, how large, delivered or not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from scheduler.ledger import FileRecord
from store import schema
from store.engine import writing

_files = schema.files.c
_jobs = schema.jobs.c
_inputs = schema.input_files.c
#: digests of one question; SQLite takes 32,766 values, PostgreSQL 32,767
_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Output:
    """One file that a worker made."""

    user: str
    #: the team it was made in
    group: str
    record: FileRecord
    #: 0: not known yet
    size_bytes: int
    #: when its job ended, milliseconds since the epoch
    made_ms: int


class SqlOutputs:
    """Outputs and uploads of all users on the SQL store."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def older(self, type: str, before_ms: int, most: int) -> list[Output]:
        """Files of that type whose job ended before then, oldest first."""
        return await self._read(
            _all().where(_files.type == type, _jobs.ended_ms < before_ms).limit(most)
        )

    async def of_user(self, user: str, type: str, most: int) -> list[Output]:
        """A user's files of that type, oldest first."""
        return await self._read(
            _all().where(_files.user_name == user, _files.type == type).limit(most)
        )

    async def unsized(self, most: int) -> list[Output]:
        """Outputs whose size nobody has asked for, newest first."""
        wanted = _all().where(_files.type == "output", _files.size_bytes.is_(None))
        newest = wanted.order_by(None).order_by(_jobs.ended_ms.desc()).limit(most)
        return await self._read(newest)

    async def undelivered(self, since_ms: int, most: int) -> list[Output]:
        """Outputs of prompts that succeeded since then and were not delivered, oldest first."""
        return await self._read(
            _all()
            .where(
                _files.type == "output",
                _files.delivered_ms.is_(None),
                _jobs.state == "SUCCEEDED",
                _jobs.ended_ms >= since_ms,
            )
            .limit(most)
        )

    async def used_bytes(self) -> dict[str, int]:
        """Bytes of outputs by user, as far as sizes are known."""
        wanted = (
            select(_files.user_name, func.coalesce(func.sum(_files.size_bytes), 0))
            .where(_files.type == "output")
            .group_by(_files.user_name)
        )
        async with self._engine.connect() as connection:
            return {row[0]: int(row[1]) for row in await connection.execute(wanted)}

    async def note_size(self, output: Output, size_bytes: int) -> None:
        """Remember a file's size."""
        await self._set(output, size_bytes=size_bytes)

    async def note_delivered(self, output: Output, at_ms: int) -> None:
        """Remember that a copy was delivered."""
        await self._set(output, delivered_ms=at_ms)

    async def forget(self, output: Output) -> None:
        """Drop a file's record: its user no longer has it."""
        async with writing(self._engine) as connection:
            await connection.execute(delete(schema.files).where(_is(output)))

    async def forget_uploads(self, types: Sequence[str], before_ms: int) -> int:
        """Drop names of uploads from before then; counts them."""
        gone = delete(schema.input_files).where(_inputs.type.in_(types), _inputs.put_ms < before_ms)
        async with writing(self._engine) as connection:
            return (await connection.execute(gone)).rowcount

    async def named(self, digests: Collection[str]) -> set[str]:
        """Those of these bytes that any user still has a name for."""
        asked, found = list(digests), set[str]()
        async with self._engine.connect() as connection:
            for start in range(0, len(asked), _AT_ONCE):
                some = asked[start : start + _AT_ONCE]
                rows = await connection.scalars(
                    select(_inputs.sha256).where(_inputs.sha256.in_(some)).distinct()
                )
                found.update(rows)
        return found

    async def _read(self, wanted: Select[Any]) -> list[Output]:
        async with self._engine.connect() as connection:
            return [_output(row) for row in await connection.execute(wanted)]

    async def _set(self, output: Output, **values: int) -> None:
        async with writing(self._engine) as connection:
            await connection.execute(update(schema.files).where(_is(output)).values(**values))


def _all() -> Select[Any]:
    return (
        select(schema.files, _jobs.ended_ms, _jobs.group_name)
        .join(schema.jobs, _jobs.id == _files.job_id)
        .order_by(_jobs.ended_ms, _files.filename)
    )


def _is(output: Output) -> ColumnElement[bool]:
    record = output.record
    return and_(
        _files.user_name == output.user,
        _files.type == record.type,
        _files.subfolder == record.subfolder,
        _files.filename == record.filename,
    )


def _output(row: Row[Any]) -> Output:
    return Output(
        user=row.user_name,
        group=row.group_name,
        record=FileRecord(
            type=row.type,
            subfolder=row.subfolder,
            filename=row.filename,
            agent=row.agent,
            worker=row.worker,
            worker_subfolder=row.worker_subfolder,
            worker_filename=row.worker_filename,
        ),
        size_bytes=row.size_bytes or 0,
        made_ms=row.ended_ms,
    )
