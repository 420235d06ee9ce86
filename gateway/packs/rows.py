"""What a row says of one route of a node pack, and how a request finds its row (pure).

A worker serves everybody, and its packs know no users: a row exists only for a route whose
code was read, and says what keeps it from touching what is another user's. A path pattern's
``{name}`` is one segment, ``{name:regex}`` one that must match once decoded, and ``{tail:*}``
all that follows. Packs' routes exist bare and under ``/api``; so do the rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from config.packs import Access

_PARAMETER: Final = re.compile(r"\{(\w+)(?::([^{}]*(?:\{[^{}]*\}[^{}]*)*))?\}")


@dataclass(frozen=True, slots=True)
class Row:
    """One route."""

    method: str
    path: str
    access: Access
    #: query parameters that are passed on, each with what its value must match; None: all
    query: Mapping[str, str] | None = None
    #: OWN_FILE: the answer for an upload, whose bytes lie here; None: the bytes themselves
    of_upload: bytes | None = None
    #: OWN_FILE: the answer tells only that the file is there; no worker is asked
    bare: bool = False
    #: OWN_FILE: its code was read and changes nothing, so a mate's shared output will do
    reads: bool = False
    #: keys of a JSON answer that tell where files lie on the host: left out
    hide: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pack:
    """One reviewed pack. Only its ``source`` was read; another version may differ."""

    name: str
    source: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """The row of a request, or that its path is known under other methods only."""

    row: Row | None
    #: methods that the path has, for ``Allow``
    methods: frozenset[str] = field(default_factory=frozenset)


class Table:
    """The rows in force."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = [(row, *_compile(row.path)) for row in rows]

    def find(self, method: str, raw_path: str) -> Found | None:
        """The row for a request; HEAD counts as GET. None: no row has such a path.

        Args:
            method: of the request.
            raw_path: percent-encoded, with or without ``/api``.
        """
        asked = "GET" if method == "HEAD" else method
        methods: set[str] = set()
        for row, pattern, checks in self._rows:
            if not any(_fits(pattern, checks, path) for path in _forms(raw_path)):
                continue
            if row.method == asked:
                return Found(row)
            methods.add(row.method)
        return Found(None, frozenset(methods)) if methods else None


def bare(raw_path: str) -> str:
    """The path without ``/api``."""
    return raw_path.removeprefix("/api") if raw_path.startswith("/api/") else raw_path


def query_of(row: Row, query: Mapping[str, str]) -> dict[str, str] | None:
    """The parameters that the row passes on; None: one of them has a value that it must not."""
    if row.query is None:
        return dict(query)
    kept = {}
    for name, value in query.items():
        wanted = row.query.get(name)
        if wanted is None:
            continue
        if re.fullmatch(wanted, value) is None:
            return None
        kept[name] = value
    return kept


def _forms(raw_path: str) -> set[str]:
    return {raw_path, bare(raw_path)}


def _compile(path: str) -> tuple[re.Pattern[str], dict[str, re.Pattern[str]]]:
    """A pattern for raw paths, and what its parameters must match once decoded."""
    checks: dict[str, re.Pattern[str]] = {}
    parts, end = [], 0
    for found in _PARAMETER.finditer(path):
        name, wanted = found[1], found[2]
        parts.append(re.escape(path[end : found.start()]))
        parts.append(f"(?P<{name}>.*)" if wanted == "*" else f"(?P<{name}>[^/]+)")
        if wanted not in (None, "*"):
            checks[name] = re.compile(wanted)
        end = found.end()
    parts.append(re.escape(path[end:]))
    return re.compile("".join(parts)), checks


def _fits(pattern: re.Pattern[str], checks: Mapping[str, re.Pattern[str]], path: str) -> bool:
    found = pattern.fullmatch(path)
    if found is None or _climbs(path):
        return False
    return all(check.fullmatch(unquote(found[name])) for name, check in checks.items())


def _climbs(raw_path: str) -> bool:
    """Whether a path has parts that mean another one, whoever decodes it and how often."""
    text = raw_path
    for _ in range(3):
        segments = re.split(r"[/\\]", text)
        if ".." in segments or "." in segments or "" in segments[1:-1] or "\0" in text:
            return True
        text = unquote(text)
    return False
