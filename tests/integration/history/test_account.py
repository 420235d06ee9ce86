"""What the store adds up equals what the ledger's own books say, to the last digit."""

from __future__ import annotations

import time
from collections import Counter
from random import Random

from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.history.account import account
from dashboard.history.accounting import HOUR_MS
from dashboard.history.recorder import Recorder
from scheduler.fairness import charge
from scheduler.ledger import Admitted, Ending, Event, EventKind, Grant
from scheduler.memory_books import Books
from scheduler.memory_ledger import MemoryLedger
from scheduler.states import FailReason, Job
from store import history_schema, schema
from tests.factories import GIB, gpu, new_job, outcome, report, worker
from tests.integration.history.rows import attempt_row, fill, job_row, sample_row

START_MS = 1_700_000_000_000
_ENDINGS = (
    *[Ending.SUCCEEDED] * 6, Ending.FAILED, Ending.OOM, Ending.LOST, Ending.RETURNED,
)  # fmt: skip


class Day:
    """Four workers on two GPUs and users of different weights, by a clock that this moves."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.now_ms = START_MS
        self.books = Books(lambda: self.now_ms, self._call, heartbeat_ms=10**12)
        self.ledger = MemoryLedger(self.books)
        self._calls = 0
        self.epoch = self.books.lead("test", 10**12) or 0
        self.running: list[Job] = []

    def _call(self) -> str:
        self._calls += 1
        return str(self._calls)

    def open(self) -> None:
        gpus = [gpu(name) for name in ("gpu-0", "gpu-1")]
        workers = [worker(f"host-{n}", f"gpu-{n % 2}") for n in range(4)]
        self.books.report(report(workers=workers, gpus=gpus))

    def step(self) -> None:
        self.now_ms += self.rng.randrange(1, 400_000)
        if self.rng.random() < 0.5:
            user = self.rng.choice(["ann", "bob", "cat"])
            new = new_job(
                user, group="film", fingerprint=self.rng.choice(["fp-1", "fp-2"]), id=self._call()
            )
            self.books.submit(new, b"{}", max_queued=None)
        if self.running and self.rng.random() < 0.5:
            self._end(self.running.pop(self.rng.randrange(len(self.running))))
        self._start()

    def _start(self) -> None:
        seen = self.books.snapshot(5)
        free = [one for one in seen.workers if not one.job]
        jobs = [job for backlog in seen.backlogs for job in backlog.jobs]
        if not free or not jobs:
            return
        job, seat = self.rng.choice(jobs), self.rng.choice(free)
        share, seconds = self.rng.random(), self.rng.uniform(0.1, 500)
        weight = {"ann": 1.0, "bob": 3.0, "cat": 0.7}[job.user]
        grant = Grant(
            bytes=self.rng.randrange(1, 4 * GIB),
            capacity_bytes=0,
            seconds=seconds,
            user_charge=charge(share, seconds, weight),
            group_charge=charge(share, seconds, 2.0),
            charge=charge(share, seconds, 1.0),
        )
        admitted = self.books.admit(self.epoch, job, seat, grant, 10**9)
        assert isinstance(admitted, Admitted)
        self.now_ms += self.rng.randrange(0, 5_000)
        if self.rng.random() < 0.95:
            self.books.claim(job.id, admitted.attempt, seat.id, self._call(), "sid", 10**9)
        self.running.append(job)

    def _end(self, job: Job) -> None:
        record = self.books.records[job.id].job
        ending = self.rng.choice(_ENDINGS)
        reason = FailReason.NODE_ERROR if ending is Ending.FAILED else None
        run = self.rng.uniform(0, 900)
        end = outcome(ending, run_seconds=run, reason=reason)
        if record.started_ms == 0 and ending is Ending.SUCCEEDED:
            end = outcome(Ending.RETURNED)
        self.books.settle(job.id, record.attempt, end)

    def costs(self) -> Counter[str]:
        """The ledger's own unweighted costs, by user."""
        found: Counter[str] = Counter()
        for record in self.books.records.values():
            found[record.job.user] += record.job.cost
        return found

    def events(self) -> list[Event]:
        return self.books.stream.after("0-0")


async def record(day: Day, engine: AsyncEngine) -> None:
    recorder = Recorder(day.ledger, engine, time.monotonic)
    while await recorder.record_once(1):
        pass


async def usage(engine: AsyncEngine) -> list[dict[str, object]]:
    async with engine.connect() as connection:
        rows = (await connection.execute(history_schema.usage.select())).mappings().all()
    return sorted((dict(row) for row in rows), key=str)


def busy_us(events: list[Event], until_ms: int) -> Counter[str]:
    """Time in which anything ran on each GPU, from the stream alone."""
    found: Counter[str] = Counter()
    for name in {event.gpu for event in events if event.gpu}:
        running: set[str] = set()
        last = 0
        for event in [*events, None]:
            at = event.at_ms if event else until_ms
            found[name] += 1000 * (at - last) * bool(running)
            last = at
            if event and event.gpu == name:
                if event.kind is EventKind.CLAIMED:
                    running.add(event.job)
                elif event.kind in (EventKind.SETTLED, EventKind.REQUEUED):
                    running.discard(event.job)
    return found


def reserved(events: list[Event], until_ms: int) -> int:
    """Byte-milliseconds of all reservations, from the stream alone."""
    total, held = 0, dict[str, tuple[int, int]]()
    for event in events:
        if event.kind is EventKind.ADMITTED:
            held[event.job] = (event.bytes, event.at_ms)
        elif event.kind in (EventKind.SETTLED, EventKind.REQUEUED) and event.job in held:
            bytes_, since = held.pop(event.job)
            total += bytes_ * (event.at_ms - since)
    return total + sum(bytes_ * (until_ms - since) for bytes_, since in held.values())


async def test_sums_equal_the_ledgers_books_to_the_last_digit(engine: AsyncEngine) -> None:
    day = Day(7)
    day.open()
    for number in range(400):
        day.step()
        if number % 150 == 149:  # in between, with attempts that go on
            await record(day, engine)
            await account(engine, day.now_ms)
    await record(day, engine)
    await account(engine, day.now_ms)
    rows = await usage(engine)
    costs: Counter[str] = Counter()
    by_gpu: Counter[str] = Counter()
    for row in rows:
        costs[str(row["user_name"])] += int(str(row["cost_us"]))
        by_gpu[str(row["gpu"])] += int(str(row["gpu_us"]))
    assert costs == day.costs()
    assert sum(costs.values()) > 10**9
    assert by_gpu == busy_us(day.events(), day.now_ms)
    total = sum(int(str(row["byte_ms"])) for row in rows)
    assert total == reserved(day.events(), day.now_ms)
    ended = [event for event in day.events() if event.kind is EventKind.SETTLED]
    assert sum(int(str(row["jobs"])) for row in rows) == len(ended)


async def test_adding_up_often_late_or_twice_comes_to_the_same(engine: AsyncEngine) -> None:
    day = Day(11)
    day.open()
    for number in range(300):
        day.step()
        if number % 20 == 0:
            await record(day, engine)
        if number % 30 == 0:
            await account(engine, day.now_ms)
    await record(day, engine)
    await account(engine, day.now_ms)
    often = await usage(engine)
    await account(engine, day.now_ms)
    assert await usage(engine) == often
    async with engine.begin() as connection:
        await connection.execute(history_schema.usage.delete())
        await connection.execute(history_schema.marks.delete())
    await account(engine, day.now_ms)
    assert await usage(engine) == often


async def test_an_attempt_whose_end_was_lost_ends_when_its_worker_has_the_next(
    engine: AsyncEngine,
) -> None:
    rows = [("j1", 1, START_MS, None), ("j2", 1, START_MS + 5_000, START_MS + 9_000)]
    async with engine.begin() as connection:
        for job, attempt, at, ended in rows:
            await connection.exec_driver_sql(
                "INSERT INTO attempts (job_id, attempt, user_name, worker, gpu, admitted_ms, "
                f"claimed_ms, ended_ms, reserved_bytes) VALUES ('{job}', {attempt}, 'ann', 'w', "
                f"'g', {at}, {at}, {ended or 'NULL'}, 1)"
            )
    await account(engine, START_MS + 5 * HOUR_MS)
    (row,) = await usage(engine)
    assert (row["gpu_us"], row["byte_ms"]) == (9_000_000, 9_000)


async def test_energy_comes_from_longer_samples_where_seconds_are_gone(
    engine: AsyncEngine,
) -> None:
    start = START_MS - START_MS % 60_000
    await fill(engine, schema.jobs, [job_row("j", start + 60_000)])
    attempt = attempt_row("j", start + 60_000, admitted_ms=start, claimed_ms=start)
    await fill(engine, schema.attempts, [attempt])
    samples = [
        # the minute is there twice over, but for its seconds from the tenth on
        *(sample_row(start + n * 1000, power_mw=1_000) for n in range(10)),
        *(sample_row(start + n * 10_000, step_s=10, power_mw=2_000) for n in range(3)),
        sample_row(start, step_s=60, power_mw=5_000),
        sample_row(start + 60_000, step_s=60, power_mw=7_000),
    ]
    await fill(engine, history_schema.gpu_samples, samples)
    await account(engine, start + HOUR_MS)
    (row,) = await usage(engine)
    assert row["energy_mj"] == 10 * 1_000 + 20 * 2_000
