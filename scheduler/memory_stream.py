"""The stream of events in memory, with the recorder's consumer group."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, Final

from scheduler.bookkeeping import ABANDONED_MS, EVENTS_MOST, SEQUENCES_PER_MS
from scheduler.ledger_records import StreamState
from scheduler.ledger_values import Event, EventKind

#: The stream is cut back when it is longer than its limit by this share.
_SLACK: Final = 0.25
#: Most entries of one read.
_BATCH: Final = 1000
_Key = tuple[int, int]


class Stream:
    """Events, oldest first: about ``limit`` at most, ``EVENTS_MOST`` where somebody records."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._keys: list[_Key] = []
        self._events: list[Event] = []
        self._last: _Key = (0, 0)
        #: False until somebody records; what is delivered up to, and what of it is not yet stored
        self._recorded = False
        self._delivered: _Key = (0, 0)
        #: event → who has it, and since when
        self._pending: dict[_Key, tuple[str, int]] = {}

    def append(self, now_ms: int, kind: EventKind, **fields: Any) -> Event:
        """Add one event; its id never falls, whatever the clock does."""
        ms, sequence = self._last
        self._last = (now_ms, 0) if now_ms > ms else (ms, sequence + 1)
        ms, sequence = self._last
        event = Event(id=f"{ms}-{sequence}", kind=kind, at_ms=ms, **fields)
        self._keys.append(self._last)
        self._events.append(event)
        limit = EVENTS_MOST if self._recorded else self._limit
        if len(self._keys) > limit * (1 + _SLACK):
            self._cut(len(self._keys) - limit)
        return event

    def _cut(self, count: int) -> None:
        del self._keys[:count]
        del self._events[:count]

    @property
    def last_id(self) -> str:
        """Cursor of the newest event, ``"0-0"`` if there is none."""
        return "{}-{}".format(*self._last)

    def after(self, cursor: str) -> list[Event]:
        """Events after the cursor, at most a thousand."""
        start = bisect_right(self._keys, _key(cursor))
        return self._events[start : start + _BATCH]

    # ── the recorder's group ─────────────────────────────────────────────────

    def record(self, now_ms: int, consumer: str, count: int) -> list[Event]:
        """What the consumer has not acknowledged; else what a dead one left; else what is new."""
        self._recorded = True
        for mine in (True, False):
            found = [
                key
                for key, (owner, since) in self._pending.items()
                if (owner == consumer if mine else now_ms - since >= ABANDONED_MS)
            ]
            events = self._deliver(now_ms, consumer, sorted(found)[:count])
            if events:
                return events
        start = bisect_right(self._keys, self._delivered)
        fresh = self._keys[start : start + count]
        self._delivered = fresh[-1] if fresh else self._delivered
        return self._deliver(now_ms, consumer, fresh)

    def _deliver(self, now_ms: int, consumer: str, keys: Sequence[_Key]) -> list[Event]:
        events = []
        for key in keys:
            at = bisect_left(self._keys, key)
            if at < len(self._keys) and self._keys[at] == key:
                self._pending[key] = (consumer, now_ms)
                events.append(self._events[at])
            else:  # cut off: nobody can store it any more
                self._pending.pop(key, None)
        return events

    def acknowledge(self, ids: Sequence[str]) -> None:
        """The recorder has stored these events."""
        for event_id in ids:
            self._pending.pop(_key(event_id), None)

    def state(self) -> StreamState:
        """How far the recorder is behind."""
        start = bisect_right(self._keys, self._delivered)
        waiting = [*sorted(self._pending), *self._keys[start:]]
        return StreamState(
            name="transitions",
            entries=len(self._keys),
            waiting=len(waiting),
            oldest_ms=waiting[0][0] if waiting else None,
        )

    def recorded_score(self) -> int | None:
        """Up to which event (as a score) the recorder has all; None: there is no recorder."""
        if not self._recorded:
            return None
        newest = _score(self._delivered)
        return min(newest, min(map(_score, self._pending)) - 1) if self._pending else newest

    def trim(self, oldest_ms: int) -> None:
        """Drop events older than that."""
        self._cut(bisect_left(self._keys, (oldest_ms, 0)))


def _key(event_id: str) -> _Key:
    ms, _, sequence = event_id.partition("-")
    return int(ms), int(sequence or 0)


def _score(key: _Key) -> int:
    return key[0] * SEQUENCES_PER_MS + min(key[1], SEQUENCES_PER_MS - 1)
