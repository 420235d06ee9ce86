"""How often each model is asked for, lately: what makes keeping it loaded worth its bytes (pure)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from scheduler.plan_config import Demand

#: A request counts half after so long: a studio's work of the last hour or so.
_HALF_LIFE_MS: Final = 1_800_000
_DECAY: Final = math.log(2) / _HALF_LIFE_MS
#: Models asked for so little that they are forgotten, requests (decayed).
_FORGOTTEN: Final = 0.01
_MOST_MODELS: Final = 2_000


@dataclass(slots=True)
class _Entry:
    #: decayed number of requests at ``at_ms``
    count: float
    at_ms: int
    load_seconds: float
    bytes: int


class DemandBook:
    """Counts requests per model, old ones fading. Knows no clock."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def observe(self, model: str, at_ms: int, load_seconds: float, bytes_: int) -> None:
        """Count one request.

        Args:
            model: ``folder/name``.
            at_ms: when it came, server time.
            load_seconds: what loading it takes, as far as known.
            bytes_: its size; 0: not known.
        """
        entry = self._entries.get(model)
        if entry is None:
            if len(self._entries) >= _MOST_MODELS:
                self._forget(at_ms)
            self._entries[model] = _Entry(1.0, at_ms, load_seconds, bytes_)
            return
        entry.count = self._now(entry, at_ms) + 1
        entry.at_ms = max(entry.at_ms, at_ms)
        entry.load_seconds = load_seconds or entry.load_seconds
        entry.bytes = bytes_ or entry.bytes

    def demand(self, now_ms: int) -> Mapping[str, Demand]:
        """Requests per second and costs of each model known."""
        return {
            model: Demand(
                rate=self._now(entry, now_ms) * _DECAY * 1000,
                load_seconds=entry.load_seconds,
                bytes=entry.bytes,
            )
            for model, entry in self._entries.items()
        }

    def _now(self, entry: _Entry, at_ms: int) -> float:
        return entry.count * math.exp(-_DECAY * max(0, at_ms - entry.at_ms))

    def _forget(self, now_ms: int) -> None:
        known = {model: self._now(entry, now_ms) for model, entry in self._entries.items()}
        kept = sorted(known, key=lambda model: -known[model])[: _MOST_MODELS // 2]
        self._entries = {m: self._entries[m] for m in kept if known[m] >= _FORGOTTEN}
