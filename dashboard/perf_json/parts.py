"""A recording that was read, as head and entries again: for whatever converts one."""

from __future__ import annotations

from collections.abc import Iterator

from dashboard.perf_json.recording import Head
from dashboard.perf_json.shapes import LISTS, Entry, Perf


def head_of(perf: Perf) -> Head:
    """What it is."""
    return Head(perf.about, perf.span)


def entries_of(perf: Perf) -> Iterator[Entry]:
    """All entries, in the order of their lists."""
    for name in LISTS.values():
        yield from getattr(perf, name)
