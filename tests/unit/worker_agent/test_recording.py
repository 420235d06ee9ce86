"""What probes told reaches the ledger once it takes it, by way of the disk where it does not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec

from scheduler.ledger import LedgerUnavailable
from scheduler.ledger_records import ToldRecords
from worker_agent.recording import Heard, Recording
from worker_agent.spool import Spool


class Stream:
    def __init__(self) -> None:
        self.taken: list[ToldRecords] = []
        self.away = False
        self.full = False

    async def tell(self, told: ToldRecords) -> bool:
        if self.away:
            raise LedgerUnavailable("away")
        if self.full:
            return False
        self.taken.append(told)
        return True

    @property
    def seqs(self) -> list[int]:
        return [one["seq"] for told in self.taken for one in msgspec.json.decode(told.records)]


def heard(first: int, count: int, size: int = 1) -> Heard:
    records = [
        {"seq": seq, "kind": "sample", "x": "y" * size} for seq in range(first, first + count)
    ]
    return Heard("host-0", "GPU-0", "b", records)


def recording(stream: Stream, folder: Path) -> Recording:
    return Recording("host", cast(Any, stream), Spool(folder, lambda: 1.0))


def files(folder: Path) -> int:
    return len(list(folder.iterdir()))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(recording: Recording) -> Any:
    task = asyncio.create_task(recording.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_records_are_told_in_batches_of_bounded_size(tmp_path: Path) -> None:
    stream = Stream()
    parts = recording(stream, tmp_path)
    async with running(parts):
        parts.note(heard(1, 600))
        parts.note(heard(601, 10, size=30_000))
        await until(lambda: len(stream.seqs) == 610)
    assert stream.seqs == list(range(1, 611))
    assert all(len(told.records) < 70_000 for told in stream.taken)
    assert all(len(msgspec.json.decode(told.records)) <= 256 for told in stream.taken)
    assert stream.taken[0].worker == "host-0"
    assert stream.taken[0].gpu == "GPU-0"
    assert stream.taken[0].agent == "host"
    assert files(tmp_path) == 0


async def test_what_waits_when_the_agent_stops_is_told_by_the_next(tmp_path: Path) -> None:
    stream = Stream()
    stream.away = True
    parts = recording(stream, tmp_path)
    async with running(parts):
        parts.note(heard(1, 300))
        await asyncio.sleep(0.05)
    assert files(tmp_path) == 2
    stream.away = False
    async with running(recording(stream, tmp_path)):
        await until(lambda: len(stream.seqs) == 300)
    assert stream.seqs == list(range(1, 301))


async def test_a_full_stream_sends_much_to_the_disk_and_nothing_is_lost(tmp_path: Path) -> None:
    stream = Stream()
    stream.full = True
    parts = recording(stream, tmp_path)
    async with running(parts):
        parts.note(heard(1, 9000))
        await until(lambda: files(tmp_path) > 9000 // 256)
        stream.full = False
        parts.note(heard(9001, 10))
        await until(lambda: len(stream.seqs) == 9010)
    assert sorted(stream.seqs) == list(range(1, 9011))
    assert files(tmp_path) == 0
