"""INSERT that meets an existing row: one statement, so that no other writer comes between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

Row = Mapping[str, Any]


async def upsert(
    connection: AsyncConnection, table: Table, rows: Sequence[Row], *, keep: Sequence[str] = ()
) -> None:
    """Insert rows; where the key exists, take over the columns named, but for those in ``keep``.

    All rows name the same columns. They are written in the order of their
    keys: two writers that go through common rows in different orders would
    wait for each other for ever.
    """
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    statement = _insert(connection, table)
    fresh = {name: statement.excluded[name] for name in rows[0] if name not in (*keys, *keep)}
    await connection.execute(
        statement.on_conflict_do_update(index_elements=keys, set_=fresh), _in_order(rows, keys)
    )


async def insert_new(connection: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows; existing ones stay as they are."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    await connection.execute(
        _insert(connection, table).on_conflict_do_nothing(index_elements=keys),
        _in_order(rows, keys),
    )


async def insert_counted(
    connection: AsyncConnection, table: Table, rows: Sequence[Row]
) -> list[dict[str, Any]]:
    """Insert rows as ``insert_new``; those of them that were not there yet."""
    if not rows:
        return []
    keys = [column.name for column in table.primary_key]
    ordered = _in_order(rows, keys)
    statement = _insert(connection, table).on_conflict_do_nothing(index_elements=keys)
    done = await connection.execute(statement.returning(*table.primary_key), ordered)
    fresh = {tuple(row) for row in done}
    return [row for row in ordered if tuple(row[key] for key in keys) in fresh]


async def add_up(connection: AsyncConnection, table: Table, rows: Sequence[Row], sum_: str) -> None:
    """Insert rows; where the key exists, add to the column ``sum_``."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    statement = _insert(connection, table)
    grown = {sum_: table.c[sum_] + statement.excluded[sum_]}
    await connection.execute(
        statement.on_conflict_do_update(index_elements=keys, set_=grown), _in_order(rows, keys)
    )


async def claim_row(connection: AsyncConnection, table: Table, row: Row) -> bool:
    """Insert one row unless its key exists; True: it is now ours."""
    keys = [column.name for column in table.primary_key]
    statement = _insert(connection, table).on_conflict_do_nothing(index_elements=keys)
    done = await connection.execute(statement.values(dict(row)).returning(table.c[keys[0]]))
    return done.first() is not None


def _in_order(rows: Sequence[Row], keys: list[str]) -> list[dict[str, Any]]:
    return [dict(row) for row in sorted(rows, key=lambda row: [row[key] for key in keys])]


def _insert(connection: AsyncConnection, table: Table) -> postgresql.Insert | sqlite.Insert:
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
