"""Whoever else wants what the recorder writes: sinks outside the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: Takes rows; returns at once and never fails: the recorder waits for no sink.
Told = Callable[[Sequence[Mapping[str, Any]]], None]


def tells_nobody(rows: Sequence[Mapping[str, Any]]) -> None:
    """There is no sink."""
