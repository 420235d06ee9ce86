"""What probes told, on this host's disk while the ledger does not take it.

Bounded: where there is too much, the oldest goes, and a ``gap`` record says how many.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from scheduler.ledger_records import ToldRecords

_log = structlog.get_logger(__name__)

#: bytes on disk at most, and what is left of them when the oldest had to go
MOST_BYTES: Final = 64 * 2**20
_KEPT_SHARE: Final = 0.75


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Some records of one worker, as they lie on the disk."""

    agent: str
    worker: str
    gpu: str
    boot: str
    #: how many, and the number of the last
    count: int
    last: int
    records: msgspec.Raw

    @property
    def told(self) -> ToldRecords:
        """As the ledger takes it."""
        return ToldRecords(
            agent=self.agent,
            worker=self.worker,
            gpu=self.gpu,
            boot=self.boot,
            records=bytes(self.records),
        )


class Spool:
    """Batches in files, oldest first. All of it may block: call it from a thread."""

    def __init__(
        self, folder: Path, wall: Callable[[], float], most_bytes: int = MOST_BYTES
    ) -> None:
        """Use ``folder``, with what an earlier agent left there. ``wall``: s since the epoch."""
        self._folder = folder
        self._wall = wall
        self._most = most_bytes
        self._lock = threading.RLock()
        for draft in folder.glob("*.new"):
            draft.unlink()
        self._sizes = {int(p.stem): p.stat().st_size for p in sorted(folder.glob("*.json"))}
        self._next = max(self._sizes, default=0) + 1

    def __len__(self) -> int:
        return len(self._sizes)

    def put(self, batch: Batch) -> None:
        """Keep a batch; the oldest ones go where there is no room.

        Raises:
            OSError: the disk does not take it.
        """
        with self._lock:
            self._write(self._next, batch)
            self._next += 1
            if sum(self._sizes.values()) > self._most:
                self._make_room()

    def oldest(self) -> tuple[int, Batch] | None:
        """The batch to be told next, with the number that ``drop`` takes; None: nothing waits."""
        with self._lock:
            while self._sizes:
                number = min(self._sizes)
                batch = self._read(number)
                if batch is not None:
                    return number, batch
                self.drop(number)
            return None

    def drop(self, number: int) -> None:
        """It was told."""
        with self._lock:
            self._sizes.pop(number, None)
            self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012d}.json"

    def _write(self, number: int, batch: Batch) -> None:
        path = self._path(number)
        draft = path.with_suffix(".new")
        self._folder.mkdir(parents=True, exist_ok=True)
        content = msgspec.json.encode(batch)
        draft.write_bytes(content)
        draft.replace(path)
        self._sizes[number] = len(content)

    def _read(self, number: int) -> Batch | None:
        try:
            return msgspec.json.decode(self._path(number).read_bytes(), type=Batch)
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("spooled_records_damaged", number=number, detail=str(error))
            return None

    def _make_room(self) -> None:
        lost: Counter[tuple[str, str, str, str]] = Counter()
        last: dict[tuple[str, str, str, str], int] = {}
        number = 0
        while sum(self._sizes.values()) > self._most * _KEPT_SHARE and len(self._sizes) > 1:
            number = min(self._sizes)
            batch = self._read(number)
            self.drop(number)
            if batch is not None:
                of = (batch.agent, batch.worker, batch.gpu, batch.boot)
                lost[of] += batch.count
                last[of] = batch.last
        _log.warning("probe_records_lost", count=lost.total())
        # before all that is left, under the numbers that have just come free
        for (agent, worker, gpu, boot), count in lost.items():
            seq = last[agent, worker, gpu, boot]
            gap = {"kind": "gap", "seq": seq, "lost": count, "at": self._wall()}
            told = msgspec.Raw(msgspec.json.encode([gap]))
            batch = Batch(
                agent=agent, worker=worker, gpu=gpu, boot=boot, count=count,
                last=seq, records=told,
            )  # fmt: skip
            self._write(number, batch)
            number -= 1
