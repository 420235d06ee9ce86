"""A worker that holds more than it was promised: nobody else is promised that, and it is ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scheduler.fleet import Vitals
from scheduler.placement import Room, Safety
from scheduler.redis_ledger import RedisLedger
from scheduler.states import Gpu
from tests.integration.worker_agent.bed import Bed, fake_spec, make_agent, running
from tests.integration.worker_agent.test_probe import FIGURES, run, worker
from worker_agent.nvml import GpuReading

GIB = 2**30


class OneCard:
    """A card of 24 GiB on which each process holds what the test says."""

    def __init__(self) -> None:
        self.pids: dict[int, int] = {}

    def devices(self) -> list[GpuReading]:
        used = sum(self.pids.values())
        card = GpuReading(uuid="GPU-0", index=0, name="A", total_bytes=24 * GIB, used_bytes=used)
        return [replace(card, processes=dict(self.pids))]

    def vitals(self, uuid: str) -> Vitals:
        return Vitals()

    def computing(self, uuid: str) -> frozenset[int] | None:
        return frozenset()

    def close(self) -> None:
        return


async def test_it_is_trimmed_then_started_anew_and_its_bytes_are_nobody_elses(
    ledger: RedisLedger, tmp_path: Path
) -> None:
    specs = [replace(fake_spec(tmp_path, probe=True), gpu_uuid="GPU-0")]
    reader = OneCard()
    agent = make_agent(ledger, tmp_path, specs, reader)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        first = bed.pid()
        reader.pids[first] = 2 * GIB
        await bed.probe(figures=FIGURES, after={"reserved": GIB})
        await run(bed, 6 * GIB)
        asked = len((await bed.probe())["asked"])
        # a library of its own took this
        reader.pids[first] = 9 * GIB

        async def is_counted() -> bool:
            return (await worker(bed)).used_bytes == 9 * GIB

        await bed.until(is_counted)
        snapshot = await ledger.snapshot(10)
        card = Room(snapshot, snapshot.now_ms, Safety(0, 0)).cards["GPU-0"]
        assert card.capacity - card.hold == 15 * GIB

        async def is_trimmed() -> bool:
            return ["trim"] in (await bed.probe())["asked"][asked:]

        await bed.until(is_trimmed)

        async def is_anew() -> bool:
            process = agent._supervisor.process("host-0")
            return process is not None and process.pid not in (None, first)

        await bed.until(is_anew)
        reader.pids.clear()
        await bed.ready()
        assert isinstance((await ledger.pool()).gpus["GPU-0"], Gpu)
        assert (await worker(bed)).used_bytes == 0
