"""What probes told, on its way from agents to the recorder (docs/probe.md, *Records*).

Apart from the stream of transitions: it is much longer, and nobody's job depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldRecords:
    """Some records of one worker's probe, in their order."""

    agent: str
    worker: str
    #: id of the worker's GPU, "": none
    gpu: str
    #: the probe's id of this life of the worker
    boot: str
    #: JSON list of records as the probe told them. Those of a prompt that is an attempt of a job
    #: also have ``job``, ``attempt`` and ``user``, by the agent's own knowledge.
    records: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBatch:
    """One entry of the stream."""

    #: the stream's own id, ``<ms>-<n>``
    id: str
    told: ToldRecords


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamState:
    """How far the recorder is behind in one of the streams."""

    #: ``transitions`` or ``records``
    name: str
    entries: int
    #: of these, what the recorder has not stored yet
    waiting: int
    #: server time at which the oldest of those was written; None: nothing waits
    oldest_ms: int | None


class RecordSide(Protocol):
    """Both ends of the stream."""

    async def tell(self, told: ToldRecords) -> bool:
        """Keep records for the recorder; twice does no harm, their ``seq`` tells.

        At most about 64 KiB or 256 records at a time.

        Returns:
            False: so many wait already that these were not taken. Keep them, and come again.
        """
        ...

    async def told(self, consumer: str, block_ms: int, count: int) -> list[RecordBatch]:
        """Batches for the recorder's consumer group; delivered until they are stored."""
        ...

    async def stored(self, ids: Sequence[str]) -> None:
        """The recorder has stored these batches: the stream lets go of them."""
        ...

    async def streams(self) -> list[StreamState]:
        """How long the streams are: that of transitions, and this one."""
        ...
