"""What probes told, in memory, with the recorder's consumer group."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.bookkeeping import ABANDONED_MS, MOST_TOLD_BYTES
from scheduler.ledger_records import RecordBatch, StreamState, ToldRecords


class ToldStream:
    """Batches that wait for the recorder, oldest first."""

    def __init__(self) -> None:
        self._waiting: dict[str, RecordBatch] = {}
        #: batch → who has it, and since when (ms)
        self._pending: dict[str, tuple[str, int]] = {}
        self._recorded = False
        self._number = 0

    def tell(self, now_ms: int, told: ToldRecords) -> bool:
        """Keep a batch; False: so much waits already that it was not taken."""
        waiting = sum(len(batch.told.records) for batch in self._waiting.values())
        if waiting + len(told.records) > MOST_TOLD_BYTES:
            if self._recorded:
                return False
            # Nobody has ever recorded here: what is new is worth more than what is old.
            for old in list(self._waiting)[: (len(self._waiting) + 1) // 2]:
                del self._waiting[old]
        self._number += 1
        batch_id = f"{now_ms}-{self._number}"
        self._waiting[batch_id] = RecordBatch(id=batch_id, told=told)
        return True

    def deliver(self, now_ms: int, consumer: str, count: int) -> list[RecordBatch]:
        """What the consumer has; else what a dead one left; else what is new."""
        self._recorded = True
        own = [id_ for id_, (owner, _) in self._pending.items() if owner == consumer]
        left = [id_ for id_, (_, since) in self._pending.items() if now_ms - since >= ABANDONED_MS]
        fresh = [id_ for id_ in self._waiting if id_ not in self._pending]
        ids = (own or left or fresh)[:count]
        self._pending |= dict.fromkeys(ids, (consumer, now_ms))
        return [self._waiting[id_] for id_ in ids]

    def stored(self, ids: Sequence[str]) -> None:
        """The recorder has stored these batches."""
        for id_ in ids:
            self._pending.pop(id_, None)
            self._waiting.pop(id_, None)

    def state(self) -> StreamState:
        """How far the recorder is behind."""
        oldest = next(iter(self._waiting), None)
        return StreamState(
            name="records",
            entries=len(self._waiting),
            waiting=len(self._waiting),
            oldest_ms=None if oldest is None else int(oldest.partition("-")[0]),
        )
