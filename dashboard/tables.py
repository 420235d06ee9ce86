"""What a live page shows, as tables of rows, and the difference between two of them: pure.

A page holds tables by name, each of rows by id. It is told what to put (only the fields that have
changed) and which rows are gone, so that an hour of small changes costs little more than they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

Row = Mapping[str, Any]
Table = Mapping[str, Row]
Tables = Mapping[str, Table]
Put = dict[str, dict[str, dict[str, Any]]]
Gone = dict[str, list[str]]
Delta = tuple[Put, Gone]
_NONE: Final = object()


def delta(old: Tables, new: Tables) -> Delta:
    """What turns ``old`` into ``new``. Rows that are the same object are not looked into."""
    put: Put = {}
    gone: Gone = {}
    for name, table in new.items():
        before = old.get(name, {})
        if table is before:
            continue
        changed = {
            id_: found
            for id_, row in table.items()
            if (found := _changed(before.get(id_), row)) is not None
        }
        if changed:
            put[name] = changed
        lost = [id_ for id_ in before if id_ not in table]
        if lost:
            gone[name] = lost
    return put, gone


def merged(deltas: Iterable[Delta]) -> Delta:
    """Several differences as one that does the same."""
    put: Put = {}
    gone: Gone = {}
    for more, less in deltas:
        for name, lost in less.items():
            kept = put.get(name, {})
            gone[name] = [*(one for one in gone.get(name, []) if one not in lost), *lost]
            for id_ in lost:
                kept.pop(id_, None)
        for name, rows in more.items():
            into = put.setdefault(name, {})
            for id_, fields in rows.items():
                # a row that went and came again is whole in the later one; what it had is kept
                # as gone before it is put
                into[id_] = {**into.get(id_, {}), **fields}
    return {name: rows for name, rows in put.items() if rows}, gone


def _changed(old: Row | None, new: Row) -> dict[str, Any] | None:
    if old is new:
        return None
    if old is None:
        return dict(new)
    found = {name: value for name, value in new.items() if old.get(name, _NONE) != value}
    return found or None
