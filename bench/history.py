"""Each page's queries over a million node runs, and the recorder's rate.

``./run bench history [--url URL …] [--jobs N] [--json]``. Without ``--url``: SQLite in a temporary
folder; give ``postgresql://…`` of an empty database for PostgreSQL. Times are medians of
``--rounds`` rounds, each by one connection that has read before; rates are records for each second
of processor time that the recorder's process used, with everything it does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import history_books, history_jobs, history_routes
from bench import history_rows as rows
from bench.machine import describe
from cli.valkey import EmbeddedValkey
from dashboard.history.account import account
from dashboard.history.probe_recorder import ProbeRecorder
from dashboard.history.samples import fold_gpus, fold_pool
from scheduler.ledger_records import ToldRecords
from scheduler.redis_ledger import RedisLedger
from store import history_schema as history
from store import schema
from store.contention import SqlContention
from store.engine import open_engine, writing
from store.folding import add_up_nodes
from store.migrate import migrate
from store.past import SqlPast
from store.recordings import Scope, SqlRecordings
from store.records import By
from store.samples import SqlSamples
from store.timeline import SqlTimelines
from store.users import SqlUsers
from store.waits import SqlWaits
from store.workflows import SqlWorkflows

_DAY_MS: Final = 24 * rows.HOUR_MS
#: seconds of each step that are kept, in days, as by default
_KEPT: Final = ((1, 1), (10, 7), (60, 90), (600, 90), (3600, 90), (14_400, 90))
_BATCH: Final = 20_000
T = TypeVar("T")
Query = Callable[[], Awaitable[Any]]


async def fill(engine: AsyncEngine, season: rows.Season) -> None:
    """All rows of a season, and what the regular work makes of them."""
    for some in _batches(chain(rows.jobs(season), history_jobs.large(season)), 1000):
        await _insert(engine, schema.jobs, (one.job for one in some))
        await _insert(engine, schema.attempts, (one.attempt for one in some))
        await _insert(engine, history.prompt_runs, (one.prompt for one in some))
        await _insert(engine, history.node_runs, (node for one in some for node in one.nodes))
    for step, days in _KEPT:
        span = min(days, season.days)
        await _insert(engine, history.gpu_samples, rows.gpu_samples(season, step, span))
        await _insert(engine, history.pool_samples, rows.pool_samples(season, step, span))
    await _insert(engine, history.waits, rows.waits(season))
    for table, of in history_books.all_rows(season):
        await _insert(engine, table, of)
    mark = {"name": "recorded", "at_ms": season.until_ms}
    await _insert(engine, history.marks, [mark])
    await account(engine, season.until_ms)
    await add_up_nodes(engine, season.until_ms)
    if engine.dialect.name == "postgresql":
        async with writing(engine) as connection:
            await connection.exec_driver_sql("ANALYZE")
    else:
        async with writing(engine) as connection:
            await connection.exec_driver_sql("PRAGMA optimize")


def _batches(of: Iterable[T], most: int) -> Iterator[list[T]]:
    left = iter(of)
    while some := list(islice(left, most)):
        yield some


async def _insert(engine: AsyncEngine, table: Table, of: Iterable[rows.Row]) -> None:
    for some in _batches(of, _BATCH):
        async with writing(engine) as connection:
            await connection.execute(table.insert(), some)


async def queries(engine: AsyncEngine, season: rows.Season) -> dict[str, Query]:
    """What each page asks, by page."""
    now, start = season.until_ms, season.from_ms
    times, work = SqlTimelines(engine), SqlWorkflows(engine)
    users, contention = SqlUsers(engine), SqlContention(engine)
    waits, past = SqlWaits(engine), SqlPast(engine)
    samples = SqlSamples(engine, fold_gpus, fold_pool)
    wanted = schema.jobs.c
    async with engine.connect() as connection:
        usual = schema.jobs.select().where(wanted.fingerprint == "fp-0001")
        newest = usual.order_by(wanted.ended_ms.desc()).limit(1)
        job = (await connection.execute(newest)).one()
    hour = now - now % rows.HOUR_MS
    kept = SqlRecordings(engine)
    day = Scope(from_ms=now - _DAY_MS, until_ms=now)
    ones = Scope(from_ms=now - _DAY_MS, until_ms=now, user="user-1")
    return {
        "recordings: a job is found": lambda: kept.find(job.id, None),
        "recordings: a day's nodes are counted": lambda: kept.count_nodes(day, (0.01, 0.1, 1.0)),
        "recordings: a day's first nodes": lambda: _first(kept.nodes(day)),
        "recordings: a day's first runs": lambda: _first(kept.runs(day)),
        "recordings: a day's first jobs": lambda: _first(kept.jobs(day)),
        "recordings: a day's first moves": lambda: _first(kept.moves(day)),
        "recordings: one user's first nodes of a day": lambda: _first(kept.nodes(ones)),
        "job: timeline with percentiles": lambda: times.read(job.id),
        "job: a node's history": lambda: times.past(job.fingerprint, "KSampler", now),
        "workflows: all, 90 days": lambda: work.all(start, now),
        "workflows: one's trend, 90 days": lambda: work.days("fp-0001", start, now),
        "workflows: one's nodes, 90 days": lambda: work.nodes(start, now, fingerprint="fp-0001"),
        "workflows: all nodes, 90 days": lambda: work.nodes(start, now),
        "users: by user, 90 days": lambda: users.sums(start, now),
        "users: by user and day, 30 days": lambda: users.sums(
            hour - 30 * _DAY_MS, now, each_ms=_DAY_MS
        ),
        "users: one's models, 90 days": lambda: users.sums(start, now, By.MODEL, user="user-1"),
        "users: waits, 90 days": lambda: waits.counts(start, now),
        "users: waits by model, 90 days": lambda: waits.counts(start, now, By.MODEL),
        "contention: blocked by what, 90 days": lambda: contention.blocked(
            start, now, by_user=True
        ),
        "contention: peaks, 90 days": lambda: contention.peaks(start, now),
        "contention: heat map, 90 days": lambda: contention.week(start, now, "Europe/Zurich"),
        "contention: near misses, 90 days": lambda: contention.near_misses(start, now),
        "contention: least free memory, 90 days": lambda: contention.least_free(start, now),
        "contention: a day to play again": lambda: past.jobs(now - _DAY_MS, now, 5000),
        "gpus: all, 12 minutes": lambda: samples.gpus(now - 12 * 60_000, now),
        "gpus: one, a day": lambda: samples.gpus(now - _DAY_MS, now, gpu="GPU-0001"),
        "gpus: all, 7 days": lambda: samples.gpus(now - 7 * _DAY_MS, now),
        "gpus: all, 90 days": lambda: samples.gpus(start, now),
        "overview: queue, a day": lambda: samples.pool(now - _DAY_MS, now),
        **await history_jobs.queries(engine, season),
    }


async def _first(some: AsyncIterator[Any]) -> None:
    """What one page takes: the rest comes while it is sent."""
    async for _ in some:
        return


async def time_queries(engine: AsyncEngine, season: rows.Season, rounds: int) -> dict[str, Any]:
    """Median and worst milliseconds of each."""
    found = {}
    for name, query in (await queries(engine, season)).items():
        await query()
        took = []
        for _ in range(rounds):
            began = time.perf_counter()
            await query()
            took.append((time.perf_counter() - began) * 1000)
        found[name] = {"ms": round(statistics.median(took), 1), "worst_ms": round(max(took), 1)}
    return found


async def record_rate(engine: AsyncEngine, ledger: RedisLedger, records: int) -> dict[str, Any]:
    """Node records for each second of this process's processor time."""
    for batch in _told(records):
        if not await ledger.tell(batch):
            raise RuntimeError("the backlog is full: ask for fewer records")
    recorder = ProbeRecorder(ledger, engine, time.monotonic)
    began, used = time.perf_counter(), time.process_time()
    while await recorder.record_once(1):
        pass
    used, took = time.process_time() - used, time.perf_counter() - began
    return {"records_per_cpu_s": round(records / used), "records_per_s": round(records / took)}


def _told(records: int) -> Iterator[ToldRecords]:
    season = rows.Season(records // 20, 20, 1, 8, 30, 200, 1_800_000_000_000)
    nodes = (node for one in rows.jobs(season, seed=9) for node in one.nodes)
    for number, some in enumerate(_batches(nodes, 256)):
        listed = [_record(seq, node) for seq, node in enumerate(some, number * 256 + 1)]
        yield ToldRecords(
            agent="host",
            worker=f"host-{number % 8}",
            gpu="GPU-0000",
            boot="b",
            records=json.dumps(listed).encode(),
        )


def _record(seq: int, node: rows.Row) -> dict[str, Any]:
    return {
        "seq": seq, "kind": "node", "at": node["started_ms"] / 1000, "prompt": node["job_id"],
        "job": node["job_id"], "attempt": 1, "user": node["user_name"], "node": node["node"],
        "class": node["class_type"], "started": node["started_ms"] / 1000,
        "seconds": node["seconds"], "calls": 1, "cached": node["cached"], "result": "success",
        "allocated": [node["before_bytes"], node["after_bytes"]], "peak": node["peak_bytes"],
        "out_bytes": node["out_bytes"], **json.loads(node["shapes"]),
    }  # fmt: skip


async def measure(url: str, args: argparse.Namespace, valkey: str) -> dict[str, Any]:
    """Fill one store, time everything."""
    engine = open_engine(url)
    await migrate(engine)
    until = 1_800_000_000_000 - 1_800_000_000_000 % rows.HOUR_MS
    season = rows.Season(args.jobs, 20, args.days, args.gpus, 30, 200, until)
    ledger = RedisLedger.connect(valkey, f"bench{time.time_ns()}")
    try:
        rate, filled = None, None
        if not args.filled:
            rate = await record_rate(engine, ledger, args.records)
            began = time.perf_counter()
            await fill(engine, season)
            filled = round(time.perf_counter() - began)
        return {
            "store": engine.dialect.name,
            "node_runs": args.jobs * 20 + args.records,
            "filled_s": filled,
            "recorder": rate,
            "queries": await time_queries(engine, season, args.rounds),
            "answers": await history_routes.times(engine, ledger, season, args.rounds),
        }
    finally:
        await ledger.close()
        await engine.dispose()


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="bench history", description=__doc__)
    parser.add_argument("--url", action="append", help="store.url of an empty database")
    parser.add_argument("--jobs", type=int, default=50_000, help="of 20 nodes each")
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--records", type=int, default=100_000, help="for the recorder's rate")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--filled", action="store_true", help="by an earlier run: only ask")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddedValkey(Path(folder) / "v") as server:
        urls = args.url or [f"sqlite:///{folder}/store.db"]
        found = [asyncio.run(measure(url, args, server.url)) for url in urls]
    result = {"machine": describe(), "stores": found}
    if args.json:
        print(json.dumps(result, indent=2))
        return
    print(result["machine"])
    for one in found:
        print(f"\n{one['store']}: {one['node_runs']:,} node runs, filled in {one['filled_s']} s")
        print(f"  recorder: {one['recorder']}")
        for name, took in [*one["queries"].items(), *one["answers"].items()]:
            print(f"  {took['ms']:8.1f} ms (worst {took['worst_ms']:.1f})  {name}")


if __name__ == "__main__":
    main()
