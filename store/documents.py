"""Settings and userdata of each user. Paths are names in a table; none ever reaches a disk."""

from __future__ import annotations

import builtins
import json
import posixpath
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Row, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store import schema
from store.engine import writing
from store.errors import BadPath
from store.records import Document
from store.upsert import claim_row, upsert

#: Bytes of the longest path: PostgreSQL indexes no more than 2,700 in a row, user name included.
MAX_PATH_BYTES: Final = 1024

_data = schema.userdata.c
_ABOUT: Final = (_data.path, _data.size_bytes, _data.modified_ms, _data.created_ms)


def plain_path(path: str) -> str | None:
    """The path without ``.``, ``..`` and doubled slashes; None where it leaves the user's folder.

    ``""`` is the root. Absolute paths, backslashes (a separator to Windows) and
    NUL are refused, as are paths longer than ``MAX_PATH_BYTES``.
    """
    if "\\" in path or "\x00" in path or path.startswith("/"):
        return None
    if len(path.encode("utf-8", "replace")) > MAX_PATH_BYTES:
        return None
    plain = posixpath.normpath(path)
    if plain == "." or path == "":
        return ""
    return None if plain == ".." or plain.startswith("../") else plain


class SqlDocuments:
    """The gateway's documents on the SQL store.

    A folder is there as long as a document lies in it. A path that leaves the
    user's folder names nothing; only writing to one is an error.
    """

    def __init__(self, engine: AsyncEngine, clock: Callable[[], float]) -> None:
        """``clock``: seconds since the epoch."""
        self._engine = engine
        self._clock = clock

    async def settings(self, user: str) -> dict[str, Any]:
        """All settings."""
        table = schema.user_settings.c
        wanted = select(table.name, table.value).where(table.user_name == user).order_by(table.name)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        return {row.name: json.loads(row.value) for row in rows}

    async def change_settings(self, user: str, changes: Mapping[str, Any]) -> None:
        """Set some; others stay. Concurrent calls lose nothing."""
        rows = [
            {"user_name": user, "name": name, "value": json.dumps(value)}
            for name, value in changes.items()
        ]
        async with writing(self._engine) as connection:
            await upsert(connection, schema.user_settings, rows)

    async def list(
        self, user: str, folder: str, *, recurse: bool
    ) -> builtins.list[Document] | None:
        """Documents below a folder ("" is the root), or None where there is no such folder.

        Paths are from the user's root, not from the folder.
        """
        plain = plain_path(folder)
        if plain is None:
            return None
        prefix = f"{plain}/" if plain else ""
        # Not LIKE: SQLite's takes no notice of case.
        within = func.substr(_data.path, 1, len(prefix)) == prefix
        wanted = select(*_ABOUT).where(_data.user_name == user, within).order_by(_data.path)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        if prefix and not rows:
            return None
        return [_document(row) for row in rows if recurse or "/" not in row.path[len(prefix) :]]

    async def read(self, user: str, path: str) -> bytes | None:
        """Content, or None."""
        wanted = select(_data.body).where(_data.user_name == user, _data.path == plain_path(path))
        async with self._engine.connect() as connection:
            body: bytes | None = await connection.scalar(wanted)
        return body

    async def write(self, user: str, path: str, body: bytes, *, overwrite: bool) -> Document | None:
        """Store; None: it exists and may not be overwritten.

        Raises:
            BadPath: the path leaves the user's folder, is too long or names none.
        """
        now_ms = int(self._clock() * 1000)
        plain = _writable(path)
        row = {
            "user_name": user,
            "path": plain,
            "body": body,
            "size_bytes": len(body),
            "modified_ms": now_ms,
            "created_ms": now_ms,
        }
        async with writing(self._engine) as connection:
            if overwrite:
                await upsert(connection, schema.userdata, [row], keep=("created_ms",))
            elif not await claim_row(connection, schema.userdata, row):
                return None
            return await _about(connection, user, plain)

    async def delete(self, user: str, path: str) -> bool:
        """False: there was none."""
        async with writing(self._engine) as connection:
            return await _remove(connection, user, plain_path(path))

    async def move(
        self, user: str, source: str, target: str, *, overwrite: bool
    ) -> Document | LookupError | None:
        """Rename. None: the target exists; LookupError (returned): there is no source.

        Raises:
            BadPath: the target leaves the user's folder, is too long or names none.
        """
        old, new = plain_path(source), _writable(target)
        async with writing(self._engine) as connection:
            wanted = select(schema.userdata).where(_data.user_name == user, _data.path == old)
            row = (await connection.execute(wanted.with_for_update())).mappings().first()
            if row is None:
                return LookupError(source)
            moved = {**row, "path": new}
            if old == new and not overwrite:
                return None
            if old != new:
                if overwrite:
                    await upsert(connection, schema.userdata, [moved])
                elif not await claim_row(connection, schema.userdata, moved):
                    return None
                await _remove(connection, user, old)
            return await _about(connection, user, new)


def _writable(path: str) -> str:
    plain = plain_path(path)
    if not plain or path.endswith("/"):
        raise BadPath(f"{path[:80]!r} names no file in the user's folder; choose another name")
    return plain


async def _remove(connection: AsyncConnection, user: str, path: str | None) -> bool:
    gone = delete(schema.userdata).where(_data.user_name == user, _data.path == path)
    done = await connection.execute(gone.returning(_data.path))
    return done.first() is not None


async def _about(connection: AsyncConnection, user: str, path: str) -> Document | None:
    wanted = select(*_ABOUT).where(_data.user_name == user, _data.path == path)
    row = (await connection.execute(wanted)).first()
    return None if row is None else _document(row)


def _document(row: Row[*tuple[Any, ...]]) -> Document:
    return Document(
        path=row.path,
        size_bytes=row.size_bytes,
        modified=row.modified_ms / 1000,
        created=row.created_ms / 1000,
    )
