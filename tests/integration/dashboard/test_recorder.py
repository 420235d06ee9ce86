"""The recorder: everything once, whatever dies in between."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, Table, event
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.history.recorder import Recorder
from scheduler.ledger import Ending
from scheduler.redis_ledger import RedisLedger
from store import schema
from store.archive import SqlArchive
from store.engine import open_engine
from store.migrate import migrate
from tests.integration.store.databases import create_database


class Deaf:
    """A ledger whose acknowledgements are never sent: the recorder dies before them."""

    def __init__(self, ledger: RedisLedger) -> None:
        self._ledger = ledger
        self.reached = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def acknowledge(self, ids: Sequence[str]) -> None:
        self.reached.set()
        await asyncio.Event().wait()


@pytest.fixture
def recorder(ledger: RedisLedger, engine: AsyncEngine) -> Recorder:
    return Recorder(ledger, engine, time.monotonic)


async def _rows(engine: AsyncEngine, table: Table) -> list[Row[Any]]:
    async with engine.connect() as connection:
        keys = list(table.primary_key)
        return list((await connection.execute(table.select().order_by(*keys))).all())


async def _until(done: Callable[[], Any]) -> None:
    while not await done():
        await asyncio.sleep(0.02)


async def test_a_finished_job_is_kept_with_prompt_result_and_files(
    floor: Any, recorder: Recorder, engine: AsyncEngine
) -> None:
    job = await floor.submit(prompt=b'{"3": {"class_type": "X"}}')
    await floor.run(job, [("output", "vg/ann/s", "x_00007_.png"), ("temp", "vg/ann", "p.png")])
    await recorder.record_once(1)
    (row,) = await _rows(engine, schema.jobs)
    assert (row.id, row.user_name, row.state, row.attempts) == (job.id, "ann", "SUCCEEDED", 1)
    assert (row.worker, row.gpu, row.reserved_bytes) == ("host-0", "gpu-0", 4 * 2**30)
    assert row.submitted_ms <= row.admitted_ms <= row.started_ms <= row.ended_ms
    archive = SqlArchive(engine, time.time)
    found = await archive.find("ann", job.prompt_id)
    assert found is not None
    assert found.prompt == b'{"3": {"class_type": "X"}}'
    for record in await floor.ledger.files("ann", "output") + await floor.ledger.files(
        "ann", "temp"
    ):
        assert await archive.file("ann", record.type, record.subfolder, record.filename) == record
    assert len(await _rows(engine, schema.files)) == 2


async def test_each_try_of_a_job_has_its_own_row(
    floor: Any, recorder: Recorder, engine: AsyncEngine
) -> None:
    job = await floor.submit()
    await floor.settle(job, await floor.start(job), Ending.LOST)
    await recorder.record_once(1)
    assert await _rows(engine, schema.jobs) == []
    await floor.settle(job, await floor.start(job, "host-1"))
    await recorder.record_once(1)
    first, second = await _rows(engine, schema.attempts)
    assert (first.attempt, first.worker, first.state) == (1, "host-0", "QUEUED")
    assert (second.attempt, second.worker, second.state) == (2, "host-1", "SUCCEEDED")
    assert second.admitted_ms <= second.claimed_ms <= second.ended_ms
    (row,) = await _rows(engine, schema.jobs)
    assert row.attempts == 2


async def test_a_recorder_killed_between_writing_and_acknowledging_writes_nothing_twice(
    floor: Any, ledger: RedisLedger, recorder: Recorder, engine: AsyncEngine
) -> None:
    job = await floor.submit()
    await floor.run(job, [("output", "vg/ann", "x_00001_.png")])
    deaf = Deaf(ledger)
    dying = asyncio.create_task(Recorder(deaf, engine, time.monotonic).run())  # type: ignore[arg-type]
    await deaf.reached.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    tables = (schema.jobs, schema.attempts, schema.files)
    before = [await _rows(engine, table) for table in tables]
    assert [len(rows) for rows in before] == [1, 1, 1]
    await recorder.record_once(1)
    assert [await _rows(engine, table) for table in tables] == before
    assert await ledger.record_events("recorder", 1, 10) == []


async def test_a_redelivered_end_whose_bodies_are_trimmed_keeps_what_was_written(
    floor: Any, ledger: RedisLedger, recorder: Recorder, engine: AsyncEngine
) -> None:
    class Trimmed(Deaf):
        async def jobs(self, ids: Sequence[str]) -> list[None]:
            return [None for _ in ids]

        async def prompts(self, ids: Sequence[str]) -> list[None]:
            return [None for _ in ids]

        results = prompts

    job = await floor.submit()
    await floor.run(job)
    deaf = Deaf(ledger)
    dying = asyncio.create_task(Recorder(deaf, engine, time.monotonic).record_once(1))  # type: ignore[arg-type]
    await deaf.reached.wait()
    before = await _rows(engine, schema.jobs)
    dying.cancel()
    trimmed = Trimmed(ledger)
    again = asyncio.create_task(Recorder(trimmed, engine, time.monotonic).record_once(1))  # type: ignore[arg-type]
    await trimmed.reached.wait()
    again.cancel()
    assert await _rows(engine, schema.jobs) == before
    assert before[0].prompt is not None


async def test_an_end_whose_record_is_gone_is_counted_all_the_same(
    floor: Any, ledger: RedisLedger, engine: AsyncEngine
) -> None:
    class Forgetful(Deaf):
        async def jobs(self, ids: Sequence[str]) -> list[None]:
            return [None for _ in ids]

    job = await floor.submit()
    await floor.run(job)
    forgetful = Forgetful(ledger)
    task = asyncio.create_task(Recorder(forgetful, engine, time.monotonic).record_once(1))  # type: ignore[arg-type]
    await forgetful.reached.wait()
    task.cancel()
    (row,) = await _rows(engine, schema.jobs)
    assert (row.id, row.user_name, row.state, row.prompt) == (job.id, "ann", "SUCCEEDED", None)
    assert await SqlArchive(engine, time.time).find("ann", job.prompt_id) is None


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def test_a_store_that_is_down_is_waited_for_and_nothing_is_lost(
    floor: Any, ledger: RedisLedger, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    folder, name = tmp_path / "not mounted yet", f"t{secrets.token_hex(6)}"
    if kind == "sqlite":
        engine = open_engine(f"sqlite:///{folder / 'store.db'}")
    else:
        socket = request.getfixturevalue("postgres_socket")
        engine = open_engine(f"postgresql://postgres@/{name}?host={socket}")
    jobs = [await floor.submit() for _ in range(3)]
    for job in jobs:
        await floor.run(job)
    running = asyncio.create_task(Recorder(ledger, engine, time.monotonic, sleep=sleep).run())

    async def waited() -> bool:
        return len(pauses) >= 4

    await _until(waited)
    assert pauses[:4] == [0.2, 0.5, 1.0, 2.0]
    if kind == "sqlite":
        folder.mkdir()
    else:
        await create_database(socket, name)
    await migrate(engine)

    async def all_written() -> bool:
        return len(await _rows(engine, schema.jobs)) == 3

    await _until(all_written)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert {row.id for row in await _rows(engine, schema.jobs)} == {job.id for job in jobs}
    await engine.dispose()


async def test_an_event_that_the_store_can_never_take_does_not_hold_up_the_others(
    floor: Any, ledger: RedisLedger, recorder: Recorder, engine: AsyncEngine
) -> None:
    bad, good = await floor.submit("bad"), await floor.submit("good")
    await floor.run(bad)
    await floor.run(good)
    async with engine.begin() as connection:
        await connection.exec_driver_sql(
            "ALTER TABLE jobs ADD CHECK (user_name <> 'bad')"
            if connection.dialect.name == "postgresql"
            else "CREATE TRIGGER refuse BEFORE INSERT ON jobs WHEN new.user_name = 'bad' "
            "BEGIN SELECT RAISE(ABORT, 'never'); END"
        )
    await recorder.record_once(1)
    assert [row.user_name for row in await _rows(engine, schema.jobs)] == ["good"]
    assert await ledger.record_events("recorder", 1, 10) == []


async def test_names_that_no_database_takes_hold_up_nothing(
    floor: Any, recorder: Recorder, engine: AsyncEngine
) -> None:
    await floor.run(await floor.submit(client_id="nul\x00 here"))
    await recorder.record_once(1)
    (row,) = await _rows(engine, schema.jobs)
    assert row.client_id == "nul\ufffd here"


async def test_many_ends_are_written_in_few_transactions(
    floor: Any, recorder: Recorder, engine: AsyncEngine
) -> None:
    commits: list[object] = []
    event.listen(engine.sync_engine, "commit", commits.append)
    for _ in range(60):
        await floor.run(await floor.submit())
    while await recorder.record_once(1):
        pass
    assert len(await _rows(engine, schema.jobs)) == 60
    assert len(commits) == 2
