"""Hands on what probes record: to the ledger's stream, or to the disk while that is away or full.

Nobody's job depends on it, so nothing here is waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog

from scheduler.ledger import Ledger, LedgerUnavailable
from scheduler.ledger_records import ToldRecords
from worker_agent import loose_json
from worker_agent.spool import Batch, Spool

_log = structlog.get_logger(__name__)

#: records and bytes of one batch at most (``RecordSide.tell``)
_MOST: Final = 256
_MOST_BYTES: Final = 64 * 2**10
#: records that wait in memory while the ledger is asked; more go to the disk
_IN_MEMORY: Final = 8192
#: before a ledger that did not take records is asked again, seconds
_PAUSE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Heard:
    """Records of one worker, those of jobs with whose they are."""

    worker: str
    gpu: str
    boot: str
    records: Sequence[Mapping[str, Any]]


class Recording:
    """All workers' records on their way to the recorder."""

    def __init__(self, agent: str, ledger: Ledger, spool: Spool) -> None:
        self._agent = agent
        self._ledger = ledger
        self._spool = spool
        self._waiting: deque[Heard] = deque()
        self._wake = asyncio.Event()
        if len(spool):
            self._wake.set()

    def note(self, heard: Heard) -> None:
        """Take records. Never waits."""
        self._waiting.append(heard)
        self._wake.set()

    async def run(self) -> None:
        """Hand on until cancelled; what waits then goes to the disk."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if not await self._hand_on():
                    await self._keep()
                    await asyncio.sleep(_PAUSE)
                    self._wake.set()
        finally:
            self._spool_all()

    async def _hand_on(self) -> bool:
        """Tell all that waits, the oldest first; False: the ledger does not take it."""
        # a thread is woken only where something lies there: records come some times a second
        while len(self._spool) and (found := await asyncio.to_thread(self._spool.oldest)):
            number, batch = found
            if not await self._tell(batch.told):
                return False
            await asyncio.to_thread(self._spool.drop, number)
        while self._waiting:
            heard = self._waiting[0]
            for batch in self._batches(heard):
                if not await self._tell(batch.told):
                    return False
            self._waiting.popleft()
        return True

    async def _tell(self, told: ToldRecords) -> bool:
        try:
            return await self._ledger.tell(told)
        except LedgerUnavailable as error:
            _log.debug("ledger_unavailable", call="tell", detail=str(error))
            return False

    async def _keep(self) -> None:
        """The disk takes over what memory should not hold for long."""
        if sum(len(heard.records) for heard in self._waiting) > _IN_MEMORY or len(self._spool):
            await asyncio.to_thread(self._spool_all)

    def _spool_all(self) -> None:
        while self._waiting:
            heard = self._waiting.popleft()
            try:
                for batch in self._batches(heard):
                    self._spool.put(batch)
            except OSError as error:
                lost = len(heard.records)
                _log.error("probe_records_lost", worker=heard.worker, count=lost, detail=str(error))

    def _batches(self, heard: Heard) -> list[Batch]:
        rows = [loose_json.encode(record) for record in heard.records]
        batches, part, size = [], list[int](), 0
        for place, row in enumerate(rows):
            if part and (len(part) >= _MOST or size + len(row) > _MOST_BYTES):
                batches.append(self._batch(heard, part, rows))
                part, size = [], 0
            part.append(place)
            size += len(row) + 1
        if part:
            batches.append(self._batch(heard, part, rows))
        return batches

    def _batch(self, heard: Heard, part: Sequence[int], rows: Sequence[bytes]) -> Batch:
        return Batch(
            agent=self._agent,
            worker=heard.worker,
            gpu=heard.gpu,
            boot=heard.boot,
            count=len(part),
            last=int(heard.records[part[-1]]["seq"]),
            records=msgspec.Raw(b"[" + b",".join(rows[place] for place in part) + b"]"),
        )
