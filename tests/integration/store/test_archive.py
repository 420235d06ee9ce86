"""Ended jobs as the gateway reads them back."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from store import schema
from store.archive import SqlArchive
from store.engine import writing
from store.upsert import upsert


@pytest.fixture
def archive(engine: AsyncEngine, clock: Any) -> SqlArchive:
    return SqlArchive(engine, clock)


async def _record(engine: AsyncEngine, name: str, ended_ms: int, **changes: Any) -> None:
    row = {
        "id": name,
        "user_name": "ann",
        "group_name": "default",
        "prompt_id": name,
        "client_id": None,
        "number": 1,
        "state": "SUCCEEDED",
        "reason": None,
        "lane": "interactive",
        "fingerprint": "",
        "attempts": 1,
        "losses": 0,
        "ooms": 0,
        "worker": "w",
        "gpu": "g",
        "needs_gpu": True,
        "need_bytes": 2**40,
        "need_seconds": 1.5,
        "run_seconds": 1.25,
        "reserved_bytes": 0,
        "peak_bytes": 0,
        "submitted_ms": 1,
        "admitted_ms": 2,
        "started_ms": 3,
        "ended_ms": ended_ms,
        "prompt": b'{"1": {}}',
        "result": b'{"outputs": {}}',
    }
    async with writing(engine) as connection:
        await upsert(connection, schema.jobs, [{**row, **changes}])


async def _ids(
    archive: SqlArchive, newest: int | None = None, before_ms: int = 10**15
) -> list[str]:
    return [job.id for job in await archive.ended("ann", newest=newest, before_ms=before_ms)]


async def test_the_newest_ended_jobs_come_oldest_first(
    archive: SqlArchive, engine: AsyncEngine
) -> None:
    for name, ended_ms in (("b", 20), ("c", 30), ("a", 10)):
        await _record(engine, name, ended_ms)
    await _record(engine, "other", 25, user_name="bob")
    assert await _ids(archive) == ["a", "b", "c"]
    assert await _ids(archive, newest=2) == ["b", "c"]
    assert await _ids(archive, newest=2, before_ms=30) == ["a", "b"]


async def test_ends_are_those_of_the_same_jobs_newest_first(
    archive: SqlArchive, engine: AsyncEngine
) -> None:
    for name, ended_ms in (("b", 20), ("c", 30), ("a", 10), ("d", 40)):
        await _record(engine, name, ended_ms)
    await _record(engine, "unrun", 25, state="CANCELLED", started_ms=0)
    await _record(engine, "other", 25, user_name="bob")
    assert await archive.ends("ann", newest=9, before_ms=40) == [("c", 30), ("b", 20), ("a", 10)]
    assert await archive.ends("ann", newest=1, before_ms=40, but=("c",)) == [("b", 20)]
    await archive.hide("ann", ["b"])
    assert await archive.ends("ann", newest=2, before_ms=40) == [("c", 30), ("a", 10)]


async def test_a_job_is_found_by_its_own_user_only(
    archive: SqlArchive, engine: AsyncEngine
) -> None:
    await _record(engine, "j", 10, prompt_id="p", client_id="c")
    found = await archive.find("ann", "p")
    assert found is not None
    assert (found.id, found.prompt_id, found.client_id, found.state) == ("j", "p", "c", "SUCCEEDED")
    assert (found.prompt, found.result) == (b'{"1": {}}', b'{"outputs": {}}')
    assert await archive.find("bob", "p") is None
    assert await archive.find("ann", "j") is None


async def test_a_job_cancelled_before_it_ran_is_no_history(
    archive: SqlArchive, engine: AsyncEngine
) -> None:
    await _record(engine, "waited", 10, state="CANCELLED", started_ms=0)
    await _record(engine, "ran", 20, state="CANCELLED", started_ms=15)
    assert await _ids(archive) == ["ran"]
    assert await archive.find("ann", "waited") is None


async def test_a_job_that_failed_before_it_ran_has_an_empty_result(
    archive: SqlArchive, engine: AsyncEngine
) -> None:
    await _record(engine, "j", 10, state="FAILED", started_ms=0, result=None)
    found = await archive.find("ann", "j")
    assert found is not None
    assert found.result == b'{"outputs": {}, "status": null, "meta": {}}'


async def test_hidden_jobs_leave_history_but_not_the_books(
    archive: SqlArchive, engine: AsyncEngine
) -> None:
    for name in ("a", "b"):
        await _record(engine, name, 10)
        await _record(engine, f"bob-{name}", 10, user_name="bob", prompt_id=name)
    await archive.hide("ann", ["a", "no such job"])
    assert await _ids(archive) == ["b"]
    assert await archive.find("ann", "a") is None
    await archive.hide("ann", None)
    assert await _ids(archive) == []
    assert await archive.find("bob", "a") is not None
    async with engine.connect() as connection:
        assert len((await connection.execute(schema.jobs.select())).all()) == 4


async def test_a_job_recorded_after_it_was_hidden_stays_hidden(
    archive: SqlArchive, engine: AsyncEngine, clock: Any
) -> None:
    await archive.hide("ann", ["late"])
    await _record(engine, "late", int(clock.now * 1000) - 1)
    await _record(engine, "next", int(clock.now * 1000) + 1)
    assert await _ids(archive) == ["next"]


async def test_an_id_used_again_after_it_was_hidden_is_shown(
    archive: SqlArchive, engine: AsyncEngine, clock: Any
) -> None:
    await _record(engine, "one", 10, prompt_id="p")
    await archive.hide("ann", ["p"])
    await _record(engine, "two", int(clock.now * 1000) + 1, prompt_id="p")
    found = await archive.find("ann", "p")
    assert found is not None
    assert found.id == "two"


async def test_hiding_covers_jobs_of_a_server_clock_that_is_ahead(
    archive: SqlArchive, engine: AsyncEngine, clock: Any
) -> None:
    await _record(engine, "ahead", int(clock.now * 1000) + 500)
    await archive.hide("ann", None)
    assert await _ids(archive) == []


async def test_an_output_is_found_by_its_own_user_only(
    archive: SqlArchive, engine: AsyncEngine
) -> None:
    row = {
        "user_name": "ann",
        "type": "output",
        "subfolder": "s",
        "filename": "x_00001_.png",
        "agent": "host",
        "worker": "host-0",
        "worker_subfolder": "vg/ann/s",
        "worker_filename": "x_00007_.png",
        "job_id": "j",
    }
    async with writing(engine) as connection:
        await upsert(connection, schema.files, [row])
    found = await archive.file("ann", "output", "s", "x_00001_.png")
    assert found is not None
    assert (found.worker, found.worker_filename) == ("host-0", "x_00007_.png")
    assert await archive.file("bob", "output", "s", "x_00001_.png") is None
    assert await archive.file("ann", "temp", "s", "x_00001_.png") is None
