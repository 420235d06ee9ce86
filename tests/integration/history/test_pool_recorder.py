"""Samples of the pool: once a second, whoever takes them, and kept while the store is down."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from sqlalchemy import Table
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.history.pool_recorder import PoolRecorder
from dashboard.history.samples import fold_gpus, fold_pool, fold_waits
from scheduler.fleet import Vitals
from scheduler.ledger import Admitted
from scheduler.memory_books import Books
from scheduler.memory_ledger import MemoryLedger
from scheduler.states import WaitReason
from store import history_schema as schema
from store.engine import open_engine
from store.folding import STEPS, WAIT_STEPS, fold_samples
from tests.factories import GIB, gpu, grant, new_job, report, worker

START_MS = 1_699_999_200_000


class Pool:
    """One GPU with a busy worker and an idle one, and two jobs that wait; time is this one's."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.books = Books(lambda: self.now_ms, lambda: str(time.time_ns()), heartbeat_ms=10_000)
        self.ledger = MemoryLedger(self.books)
        self.epoch = self.books.lead("test", 10**9) or 0
        self.beat()
        running = new_job("ann", id="runs")
        self.books.submit(running, b"{}", max_queued=None)
        (job,) = self.books.snapshot(5).backlogs[0].jobs
        seat = next(one for one in self.books.snapshot(5).workers if one.id == "host-0")
        assert isinstance(self.books.admit(self.epoch, job, seat, grant(9 * GIB), 10**9), Admitted)
        for name in ("b1", "b2"):
            self.books.submit(new_job("bob", id=name), b"{}", max_queued=None)
        self.books.explain(
            self.epoch,
            {"b1": (WaitReason.NO_HEADROOM, "", "gpu-0"), "b2": (WaitReason.FAIRNESS, "", "runs")},
        )

    def beat(self, power_mw: int | None = 300_000) -> None:
        card = gpu(
            used_bytes=10 * GIB,
            foreign_bytes=2 * GIB,
            vitals=Vitals(utilisation=0.5, temperature_c=60, power_mw=power_mw),
        )
        workers = [worker("host-0", used_bytes=3 * GIB), worker("host-1", used_bytes=GIB)]
        self.books.report(report(workers=workers, gpus=[card]))


async def rows(engine: AsyncEngine, table: Table, **where: Any) -> list[dict[str, Any]]:
    wanted = table.select().order_by(*table.primary_key)
    for name, value in where.items():
        wanted = wanted.where(table.c[name] == value)
    async with engine.connect() as connection:
        return [dict(row) for row in (await connection.execute(wanted)).mappings()]


def recorder(pool: Pool, engine: AsyncEngine) -> PoolRecorder:
    return PoolRecorder(pool.ledger, engine, time.time, silent_s=10)


async def test_a_sample_says_who_holds_what_and_what_keeps_whom_waiting(
    engine: AsyncEngine,
) -> None:
    pool = Pool()
    taker = recorder(pool, engine)
    await taker.sample()
    await taker.store()
    (card,) = await rows(engine, schema.gpu_samples)
    assert (card["foreign_bytes"], card["resident_bytes"]) == (2 * GIB, GIB)
    assert (card["reserved_bytes"], card["free_bytes"]) == (9 * GIB, 12 * GIB)
    assert (card["utilisation"], card["temperature"], card["power_mw"]) == (0.5, 60, 300_000)
    assert json.loads(card["holders"]) == [["host-0", "ann", 9 * GIB], ["host-1", "", GIB]]
    (line,) = await rows(engine, schema.pool_samples)
    assert (line["queued"], line["running"], line["waiting_users"]) == (2, 1, 1)
    waits = await rows(engine, schema.waits)
    assert [(one["user_name"], one["reason"], one["blocker"], one["job_ms"]) for one in waits] == [
        ("bob", "fairness", "user:ann", 10_000),
        ("bob", "no_headroom", "gpu:gpu-0", 10_000),
    ]


async def test_two_recorders_write_each_second_once(engine: AsyncEngine) -> None:
    pool = Pool()
    both = [recorder(pool, engine) for _ in range(2)]
    for _ in range(3):
        for one in both:
            await one.sample()
            await one.sample()
        pool.now_ms += 1000
    for one in both:
        await one.store()
    assert len(await rows(engine, schema.gpu_samples)) == 3
    assert len(await rows(engine, schema.waits)) == 2


async def test_an_agent_that_is_silent_leaves_a_gap_and_no_zeros(engine: AsyncEngine) -> None:
    pool = Pool()
    taker = recorder(pool, engine)
    pool.now_ms += 11_000
    await taker.sample()
    await taker.store()
    assert await rows(engine, schema.gpu_samples) == []
    assert len(await rows(engine, schema.pool_samples)) == 1


async def test_samples_wait_for_a_store_that_is_down(engine: AsyncEngine, tmp_path: Any) -> None:
    pool = Pool()
    away = open_engine(f"sqlite:///{tmp_path}/nowhere/store.db")
    taker = PoolRecorder(pool.ledger, away, time.time, silent_s=10)
    for _ in range(5):
        await taker.sample()
        pool.now_ms += 1000
    with pytest.raises(OperationalError):
        await taker.store()
    taker._engine = engine
    await taker.store()
    await taker.store()
    assert len(await rows(engine, schema.gpu_samples)) == 5


async def test_a_store_that_hangs_holds_up_no_sample(engine: AsyncEngine) -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    hangs = open_engine(f"postgresql://vg@127.0.0.1:{port}/vg")
    pool, seconds = Pool(), iter(range(30))

    async def sleep(_seconds: float) -> None:
        await asyncio.sleep(0)
        pool.now_ms += 1000
        if next(seconds, None) is None:
            raise asyncio.CancelledError

    taker = PoolRecorder(pool.ledger, hangs, time.time, silent_s=60, sleep=sleep)
    async with asyncio.timeout(20):
        await asyncio.gather(taker.run(), return_exceptions=True)
    taker._engine = engine
    await taker.store()
    assert len(await rows(engine, schema.pool_samples)) == 30
    server.close()


async def test_longer_steps_are_means_and_extremes_of_shorter_ones(engine: AsyncEngine) -> None:
    pool = Pool()
    taker = recorder(pool, engine)
    for second in range(130):
        if not 40 <= second < 70:  # nobody samples for half a minute
            pool.beat(power_mw=1000 * second)
            await taker.sample()
        pool.now_ms += 1000
    await taker.store()
    for _ in range(2):  # again changes nothing
        await fold_samples(engine, schema.gpu_samples, STEPS, fold_gpus)
        await fold_samples(engine, schema.pool_samples, STEPS, fold_pool)
        await fold_samples(engine, schema.waits, WAIT_STEPS, fold_waits)
    tens = await rows(engine, schema.gpu_samples, step_s=10)
    assert [(row["at_ms"] - START_MS) // 1000 for row in tens] == [
        0, 10, 20, 30, 70, 80, 90, 100, 110,
    ]  # fmt: skip
    assert [row["power_mw"] for row in tens][:2] == [4500, 14_500]
    assert json.loads(tens[0]["holders"])[0] == ["host-0", "ann", 9 * GIB]
    (minute,) = await rows(engine, schema.gpu_samples, step_s=60)
    assert (minute["readings"], minute["temperature"]) == (40, 60)
    assert len(await rows(engine, schema.pool_samples, step_s=60)) == 1
