"""Uploads by name: which bytes each of a user's names means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from scheduler.states import InputFile
from store import schema
from store.engine import rows_at_once, writing
from store.tables import storable
from store.upsert import claim_row, upsert

_files = schema.input_files.c
#: paths of one statement: SQLite takes 999 values in its oldest builds
_BATCH: Final = 500
_FIND: Final = (
    "SELECT type, path, sha256, size_bytes FROM input_files "
    "WHERE user_name = ? AND type IN ({types}) AND path IN ({paths})"
)


class SqlInputFiles:
    """The gateway's record of uploads on the SQL store."""

    def __init__(self, engine: AsyncEngine, clock: Callable[[], float]) -> None:
        """``clock``: seconds since the epoch."""
        self._engine = engine
        self._clock = clock

    async def find(self, user: str, type: str, path: str) -> InputFile | None:
        """The upload of that name (``sub/pic.png``), or None."""
        found = await self.find_all(user, [(type, path)])
        return found.get((type, path))

    async def find_all(
        self, user: str, names: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], InputFile]:
        """The uploads of these types and paths; names that mean none are left out."""
        asked = {(type_, storable(path)): (type_, path) for type_, path in names}
        found: dict[tuple[str, str], InputFile] = {}
        paths = sorted({path for _, path in asked})
        types = sorted({type_ for type_, _ in asked})
        for start in range(0, len(paths), _BATCH):
            rows = await self._rows(user, types, paths[start : start + _BATCH])
            for type_, path, sha256, size_bytes in rows:
                name = asked.get((type_, path))
                if name is not None:
                    found[name] = InputFile(path=name[1], sha256=sha256, size_bytes=size_bytes)
        return found

    async def _rows(
        self, user: str, types: Sequence[str], paths: Sequence[str]
    ) -> Sequence[Sequence[Any]]:
        """Type, path, digest and size of what has one of the types and one of the paths."""
        if self._engine.dialect.name == "sqlite":
            sql = _FIND.format(types=_marks(types), paths=_marks(paths))
            return await rows_at_once(self._engine, sql, [storable(user), *types, *paths])
        wanted = select(_files.type, _files.path, _files.sha256, _files.size_bytes).where(
            _files.user_name == user, _files.type.in_(types), _files.path.in_(paths)
        )
        async with self._engine.connect() as connection:
            return (await connection.execute(wanted)).all()

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


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))
