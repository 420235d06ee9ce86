"""Uploads by name: which bytes each of a user's names means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from scheduler.states import InputFile
from store import schema
from store.engine import writing
from store.upsert import claim_row, upsert

_files = schema.input_files.c


class SqlInputFiles:
    """The gateway's record of uploads on the SQL store."""

    def __init__(self, engine: AsyncEngine, clock: Callable[[], float]) -> None:
        """``clock``: seconds since the epoch."""
        self._engine = engine
        self._clock = clock

    async def find(self, user: str, type: str, path: str) -> InputFile | None:
        """The upload of that name (``sub/pic.png``), or None."""
        wanted = select(_files.sha256, _files.size_bytes).where(
            _files.user_name == user, _files.type == type, _files.path == path
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(wanted)).first()
        if row is None:
            return None
        return InputFile(path=path, sha256=row.sha256, size_bytes=row.size_bytes)

    async def list(self, user: str, type: str) -> list[InputFile]:
        """All uploads of that type (``input``, ``temp`` or ``output``), newest first."""
        wanted = (
            select(_files.path, _files.sha256, _files.size_bytes)
            .where(_files.user_name == user, _files.type == type)
            .order_by(_files.put_ms.desc(), _files.path)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        return [
            InputFile(path=row.path, sha256=row.sha256, size_bytes=row.size_bytes) for row in rows
        ]

    async def put(self, user: str, type: str, file: InputFile) -> None:
        """Name these bytes; an existing name now means them."""
        async with writing(self._engine) as connection:
            await upsert(connection, schema.input_files, [self._row(user, type, file)])

    async def claim(self, user: str, type: str, file: InputFile) -> bool:
        """Name these bytes unless the name is taken; True: it is theirs, whoever else tried."""
        async with writing(self._engine) as connection:
            return await claim_row(connection, schema.input_files, self._row(user, type, file))

    async def used_bytes(self, user: str) -> int:
        """Bytes of all the user's uploads, whatever others share of them."""
        wanted = select(func.coalesce(func.sum(_files.size_bytes), 0)).where(
            _files.user_name == user
        )
        async with self._engine.connect() as connection:
            return int(await connection.scalar(wanted) or 0)

    async def delete(self, user: str, type: str, path: str) -> bool:
        """Forget a name; its bytes go once nobody needs them. False: there was none."""
        gone = delete(schema.input_files).where(
            _files.user_name == user, _files.type == type, _files.path == path
        )
        async with writing(self._engine) as connection:
            return bool((await connection.execute(gone)).rowcount)

    async def owns(self, sha256: str) -> bool:
        """Whether any user still names these bytes."""
        wanted = select(exists().where(_files.sha256 == sha256))
        async with self._engine.connect() as connection:
            return bool(await connection.scalar(wanted))

    def _row(self, user: str, type: str, file: InputFile) -> dict[str, Any]:
        return {
            "user_name": user,
            "type": type,
            "path": file.path,
            "sha256": file.sha256,
            "size_bytes": file.size_bytes,
            "put_ms": int(self._clock() * 1000),
        }
