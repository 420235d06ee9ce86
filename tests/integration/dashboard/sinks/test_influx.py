"""InfluxDB gets what the recorder writes: a real server, one that is away, one that refuses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from config.metrics import Influx
from dashboard.history.pool_recorder import PoolRecorder
from dashboard.history.recorder import Recorder
from dashboard.sinks.influx import InfluxSink
from dashboard.sinks.line_protocol import line
from dashboard.sinks.toll import Toll
from store.tallies import SqlTallies
from tests.integration.dashboard.conftest import Floor
from tests.integration.dashboard.sinks.conftest import V2_TOKEN, Database
from tests.integration.history.rows import job_row

#: seconds that something may take which nobody waits for
PATIENCE_S = 60


async def until(done: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await done():
            await asyncio.sleep(0.02)


async def until_tolled(engine: AsyncEngine, toll: Toll, counts: dict[str, int]) -> None:
    """The server has a batch before its answer is counted: do not stop between the two."""

    async def told() -> bool:
        return await tolled(engine, toll) == counts

    await until(told)


@asynccontextmanager
async def sending(sink: InfluxSink) -> AsyncIterator[None]:
    task = asyncio.create_task(sink.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def soon(seconds: float) -> Any:
    return asyncio.sleep(min(seconds, 0.02))


def make(engine: AsyncEngine, **changes: Any) -> tuple[InfluxSink, Toll]:
    toll = Toll("influx", engine)
    return InfluxSink(Influx.model_validate(changes), "default", toll, soon), toll


async def tolled(engine: AsyncEngine, toll: Toll) -> dict[str, int]:
    await toll.write()
    counts = await SqlTallies(engine).read()
    return {name.rpartition("_")[2]: count for (name, _), count in counts.items()}


@pytest.mark.monitoring
async def test_jobs_and_samples_arrive_as_they_were(
    floor: Floor, engine: AsyncEngine, database: Database
) -> None:
    sink, toll = make(engine, url=database.url, database=database.name)
    job = await floor.submit("ann")
    await floor.settle(job, await floor.start(job), peak_bytes=3, run_seconds=1.5)
    await Recorder(floor.ledger, engine, time.monotonic, tell=sink.jobs).record_once(1)
    recorder = PoolRecorder(floor.ledger, engine, time.time, silent_s=60, tell=sink.samples)
    await recorder.sample()
    async with sending(sink):

        async def arrived() -> bool:
            return bool(await database.query("SELECT * FROM vramgate_queue")) and bool(
                await database.query("SELECT * FROM vramgate_job")
            )

        await until(arrived)

        async def counted() -> bool:
            return (await tolled(engine, toll)).get("sent") == 3

        await until(counted)
    (found,) = await database.query("SELECT * FROM vramgate_job")
    assert (found["job"], found["state"], found["run_seconds"]) == (job.id, "SUCCEEDED", 1.5)
    assert found["peak_bytes"] == 3
    assert "user" not in found
    (gpu,) = await database.query("SELECT * FROM vramgate_gpu")
    assert (gpu["gpu"], gpu["foreign_bytes"]) == ("gpu-0", 2 * 2**30)
    assert gpu["time"] % 10**10 == 0


@pytest.mark.monitoring
async def test_version_two_gets_the_same(engine: AsyncEngine, v2: str, database: Database) -> None:
    sink, _ = make(engine, url=v2, bucket=database.name, org="studio", token=V2_TOKEN, users=True)
    rows = [job_row(f"j{n}", 1_700_000_000_000, user_name="a=n, n") for n in range(50)]
    sink.jobs(rows)
    sink.jobs(rows)
    async with sending(sink):

        async def arrived() -> bool:
            return len(await database.query("SELECT * FROM vramgate_job")) == 50

        await until(arrived)
    found = await database.query("SELECT * FROM vramgate_job")
    assert {row["job"] for row in found} == {f"j{n}" for n in range(50)}
    assert {row["user"] for row in found} == {"a=n, n"}


class Moody:
    """A server that answers as it is told to, and remembers what it took."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.asked = 0
        self.status: Callable[[list[str]], int] = lambda lines: 204

    async def write(self, request: web.Request) -> web.Response:
        self.asked += 1
        lines = (await request.text()).split("\n")
        status = self.status(lines)
        if status == 204:
            self.taken += lines
        return web.Response(status=status)


@pytest.fixture
async def moody() -> AsyncIterator[tuple[Moody, str]]:
    server = Moody()
    app = web.Application()
    app.router.add_post("/write", server.write)
    async with TestServer(app) as running:
        yield server, str(running.make_url("")).rstrip("/")


async def test_what_it_does_not_take_is_sent_again_in_order(
    engine: AsyncEngine, moody: tuple[Moody, str]
) -> None:
    server, url = moody
    sink, toll = make(engine, url=url, database="d", batch=10)
    server.status = lambda lines: 204 if server.asked > 4 else (503, 429, 401)[server.asked % 3]
    sink.jobs([job_row(f"j{n:03}", n) for n in range(35)])
    async with sending(sink):
        await until(lambda: _true(len(server.taken) == 35))
        await until_tolled(engine, toll, {"sent": 35})
    jobs = [one.partition('job="')[2][:4] for one in server.taken]
    assert jobs == [f"j{n:03}" for n in range(35)]


async def test_a_point_that_it_calls_wrong_takes_no_other_with_it(
    engine: AsyncEngine, moody: tuple[Moody, str]
) -> None:
    server, url = moody
    sink, toll = make(engine, url=url, database="d", batch=64)
    server.status = lambda lines: 400 if any('"j042"' in one for one in lines) else 204
    sink.jobs([job_row(f"j{n:03}", n) for n in range(100)])
    async with sending(sink):
        await until_tolled(engine, toll, {"sent": 99, "lost": 1})
    assert len(server.taken) == 99


async def test_while_it_is_away_the_newest_stay_and_the_others_are_counted(
    engine: AsyncEngine,
) -> None:
    sink, toll = make(engine, url="http://127.0.0.1:9", database="d", batch=10, buffer=20)
    async with sending(sink):
        for n in range(5):
            sink.jobs([job_row(f"j{n}{i}", n) for i in range(10)])
            await asyncio.sleep(0.03)
    assert await tolled(engine, toll) == {"lost": 30}


async def test_no_secret_and_no_redirect_leaves_for_elsewhere(engine: AsyncEngine) -> None:
    """A server that sends us elsewhere gets nothing there."""
    elsewhere: list[str] = []

    async def away(request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("/other")

    async def other(request: web.Request) -> web.Response:
        elsewhere.append(request.headers.get("Authorization", ""))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/write", away)
    app.router.add_post("/other", other)
    async with TestServer(app) as running:
        sink, toll = make(
            engine, url=str(running.make_url("")), database="d", user="u", password="p"
        )
        sink.jobs([job_row("j1", 1)])
        async with sending(sink):
            await asyncio.sleep(0.2)
    assert elsewhere == []
    assert await tolled(engine, toll) == {}


async def _true(value: bool) -> bool:
    return value


#: mostly what has a meaning in line protocol
LETTERS = st.one_of(st.sampled_from(',= \\"\n#a'), st.characters(exclude_categories=["Cs"]))
NAMES = st.lists(LETTERS, min_size=1, max_size=12).map("".join)
#: what a name becomes that line protocol cannot hold
CANNOT = {chr(code): " " for code in (*range(32), 127)}


def held(text: str) -> str:
    return "".join(CANNOT.get(one, one) for one in text)


@pytest.mark.monitoring
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    points=st.lists(
        st.tuples(NAMES, NAMES, st.integers(-(2**63) + 1, 2**63 - 1), st.floats()),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_is_in_a_name_the_server_reads_what_was_written(
    influx_url: str, points: list[tuple[str, str, int, float]]
) -> None:
    """Each point is one series, told apart by a number, so that no name can hide another."""

    async def run() -> None:
        database = Database(influx_url, "vg_property")
        await database.query('CREATE DATABASE "vg_property"')
        await database.query("DROP MEASUREMENT m")
        lines = [
            line("m", {"n": str(n), "tag": tag}, {"text": text, "i": whole, "f": real}, n + 1)
            for n, (tag, text, whole, real) in enumerate(points)
        ]
        async with aiohttp.ClientSession() as session:
            url = f"{influx_url}/write?db=vg_property&precision=ns"
            body = "\n".join(one for one in lines if one).encode()
            async with session.post(url, data=body) as answer:
                assert answer.status == 204, await answer.text()
        rows = {int(row["n"]): row for row in await database.query("SELECT * FROM m")}
        for n, (tag, text, whole, real) in enumerate(points):
            assert rows[n]["text"] == held(text)
            assert rows[n]["i"] == whole
            assert (rows[n].get("tag") or "") == held(tag).rstrip("\\")
            if real == real and abs(real) != float("inf"):
                assert rows[n]["f"] == pytest.approx(real, rel=1e-15)

    asyncio.run(run())
