"""What one worker's probe records, complete and in order, whichever way it comes.

Records come by the worker's socket each second, and on request. Their numbers tell what is
missing; a request brings that, and lets the probe drop what was taken before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from scheduler.states import Job
from worker_agent.owners import Owners
from worker_agent.probe_client import MOST_RECORDS, Batch, ProbeClient

#: The probe's ring holds 16,384 records: what was taken is acknowledged long before that.
_UNACKNOWLEDGED: Final = 2048
#: Requests for what is missing, one after the other, before something else has its turn.
_FETCHES: Final = 32


class _Frame(msgspec.Struct, frozen=True):
    """The data of a ``vramgate`` frame."""

    boot: str
    first: int
    records: tuple[dict[str, Any], ...]


@dataclass(slots=True)
class Tally:
    """What the records of one prompt come to."""

    #: its own record has come: nothing more will
    ended: bool = False
    #: models that came to the device, and seconds that this took
    loads: int = 0
    load_seconds: float = 0.0
    #: how a node's work went that did not fit: ``cpu``, ``tiled``
    fallback: str = ""
    #: a model came to the device only in part
    partial: bool = False

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one."""
        match record.get("kind"):
            case "prompt":
                self.ended = True
                self.loads = int(_number(record, "loads"))
                self.load_seconds = float(_number(record, "load_seconds"))
            case "node":
                self.fallback = self.fallback or str(record.get("fallback") or "")
            case "model" if record.get("what") == "load":
                self.partial |= _number(record, "loaded_bytes") < _number(record, "bytes")


class ProbeRecords:
    """One worker's records."""

    def __init__(
        self, owners: Owners, sink: Callable[[str, Sequence[Mapping[str, Any]]], None]
    ) -> None:
        """Take records.

        Args:
            owners: whose prompts the worker runs.
            sink: gets each of our prompts' records once, with whose it is, and the id of the
                process's life.
        """
        self._owners = owners
        self._sink = sink
        self._boot = ""
        #: number of the last one taken, and of the last one that the probe may have dropped
        self._seen = 0
        self._acknowledged = 0
        self._missing = False
        self._prompt = ""
        self._tally = Tally()

    @property
    def seen(self) -> int:
        """Number of the last one taken."""
        return self._seen

    @property
    def due(self) -> bool:
        """Whether the probe should be asked: for what is missing, or to let it drop the rest."""
        return self._missing or self._seen - self._acknowledged >= _UNACKNOWLEDGED

    def begin(self, boot: str) -> None:
        """The socket is new: some may have been missed; in another life all count anew."""
        if boot != self._boot:
            self._boot, self._seen, self._acknowledged = boot, 0, 0
        self._missing = True

    def follow(self, job: Job, prompt: str) -> None:
        """Tally the records of this attempt from now on."""
        self._owners.begin(job, prompt)
        self._prompt, self._tally = prompt, Tally()

    @property
    def tally(self) -> Tally:
        """Of the prompt that is followed."""
        return self._tally

    def take(self, data: Any) -> None:
        """The data of a frame. One that does not follow the last one is asked for again."""
        try:
            frame = msgspec.convert(data, _Frame)
        except msgspec.ValidationError:
            self._missing = True
            return
        if frame.boot != self._boot:
            return  # of a life that we have not asked about yet: all of it will be fetched
        if frame.first > self._seen + 1:
            self._missing = True
            return
        self._accept(frame.records)

    async def fetch(self, client: ProbeClient) -> None:
        """Ask for all that there is.

        Raises:
            ProbeFailed: it does not tell.
            WorkerUnreachable: nobody answers.
        """
        for _ in range(_FETCHES):
            after = self._seen
            if not await self.receive(after, await client.records(after)):
                return

    async def receive(self, after: int, batch: Batch) -> bool:
        """The answer to a question for all later than ``after``; whether there may be more."""
        self._acknowledged = after
        if batch.boot != self._boot:
            return False
        await self._owners.learn(batch.records)
        self._accept(batch.records)
        if len(batch.records) < MOST_RECORDS:
            self._missing = False
            return False
        return True

    def _accept(self, records: Sequence[Mapping[str, Any]]) -> None:
        fresh = [record for record in records if _number(record, "seq") > self._seen]
        if not fresh:
            return
        self._seen = int(_number(fresh[-1], "seq"))
        for record in fresh:
            if self._prompt and record.get("prompt") == self._prompt:
                self._tally.add(record)
        ours = [owned for record in fresh if (owned := self._owners.owned(record)) is not None]
        if ours:
            self._sink(self._boot, ours)


def _number(record: Mapping[str, Any], name: str) -> float:
    """A figure; 0 where there is none: any node pack may send what looks like a record."""
    value = record.get(name)
    return value if isinstance(value, int | float) and 0 <= value < 2**63 else 0
