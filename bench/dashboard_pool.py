"""A large pool for ``bench.dashboard``: eight GPUs of four workers, and a long queue."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from aiohttp.test_utils import TestServer

from config.settings import Role, Settings
from dashboard import app as dashboard
from dashboard.reading import reading
from scheduler.ledger import Report
from scheduler.redis_ledger import RedisLedger
from scheduler.states import (
    Agent,
    Gpu,
    GpuState,
    Lane,
    MemorySource,
    NewJob,
    Vitals,
    Worker,
    WorkerState,
)
from store.engine import open_engine
from store.migrate import migrate

GIB: Final = 2**30
GPUS: Final = 8
WORKERS: Final = 4
USERS: Final = 25
#: jobs of each user that a plan looks at, as by default (``scheduler.window``)
_PLANNED: Final = 32


@asynccontextmanager
async def serve(ledger: RedisLedger, folder: Path) -> AsyncIterator[str]:
    """The dashboard over an empty store, for one admin; its URL."""
    engine = open_engine(f"sqlite:///{folder / 'store.db'}")
    await migrate(engine)
    pages = dashboard.build(
        ledger,
        Settings,
        lambda _: ("root", Role.ADMIN),
        reading=reading(engine, time.time, lambda: uuid.uuid4().hex),
    )
    outer = web.Application()
    outer.add_subapp("/dashboard", pages)
    beating = asyncio.create_task(_beat(ledger))
    async with TestServer(outer) as server:
        yield str(server.make_url("")).rstrip("/")
    beating.cancel()
    await asyncio.wait([beating])
    await engine.dispose()


async def queue_up(ledger: RedisLedger, jobs: int) -> None:
    """So many jobs of all users, none of which can start: there is no scheduler."""
    for first in range(0, jobs, 200):
        batch = [_job(n) for n in range(first, min(jobs, first + 200))]
        await asyncio.gather(*(ledger.submit(job, b'{"1": {}}', max_queued=None) for job in batch))


async def foresee(ledger: RedisLedger, epoch: int, shift_s: float) -> None:
    """Tell the first jobs of each user another time, as the scheduler does at each change."""
    seen = await ledger.snapshot(_PLANNED)
    waiting = [job.id for backlog in seen.backlogs for job in backlog.jobs]
    starts = {
        id_: (seen.now_ms + int((n * 40 + shift_s) * 1000), seen.now_ms + n * 90_000)
        for n, id_ in enumerate(waiting)
    }
    await ledger.foresee(epoch, starts, await ledger.trust())


def _job(number: int) -> NewJob:
    job_id = str(uuid.uuid4())
    return NewJob(
        id=job_id,
        user=f"user-{number % USERS:02}",
        group="default",
        prompt_id=job_id,
        client_id=None,
        lane=Lane.BATCH if number % 3 else Lane.INTERACTIVE,
        front=False,
        fingerprint="fp",
        models=("checkpoints/a.safetensors",),
        need_bytes=9 * GIB,
        need_seconds=42.0,
        needs_gpu=True,
    )


async def _beat(ledger: RedisLedger) -> None:
    """Heartbeats of eight hosts, twice a second, whose figures are different each time."""
    rng = random.Random(1)
    while True:
        for host in range(GPUS):
            await ledger.report(_report(host, rng))
        await asyncio.sleep(0.5)


def _report(host: int, rng: random.Random) -> Report:
    name = f"host-{host}"
    gpu = Gpu(
        id=f"gpu-{host}",
        agent=name,
        index=0,
        name="RTX 4090",
        total_bytes=24 * GIB,
        used_bytes=12 * GIB,
        foreign_bytes=rng.randrange(GIB),
        state=GpuState.READY,
        memory_source=MemorySource.NVML,
        vitals=Vitals(utilisation=rng.random(), temperature_c=60 + rng.randrange(20)),
    )
    one = Worker(
        id="",
        agent=name,
        gpu=gpu.id,
        state=WorkerState.READY,
        used_bytes=0,
        models=(),
        has_probe=True,
    )
    workers = [
        replace(one, id=f"{name}-{n}", used_bytes=rng.randrange(GIB, 5 * GIB))
        for n in range(WORKERS)
    ]
    agent = Agent(id=name, url="http://127.0.0.1:1", version="1", heartbeat_ms=0)
    return Report(agent=agent, workers=workers, gpus=[gpu])


def recent(points: int = 530) -> dict[str, Any]:
    """The last quarter of an hour as ``/samples/gpus`` would tell it, so many points a curve.

    Memory stays as it is for ten points on average, as it does while jobs run.
    """
    rng = random.Random(3)
    until = int(time.time() * 1000)
    at = [until - (points - n) * 900_000 // points for n in range(points)]

    def walk(most: int) -> list[int]:
        column = [rng.randrange(most)]
        while len(column) < points:
            column.append(column[-1] if rng.random() < 0.9 else rng.randrange(most))
        return column

    def gpu(host: int) -> dict[str, Any]:
        holders = [
            {"worker": f"host-{host}-{n}", "user": user, "bytes": walk(2 * GIB)}
            for n in range(WORKERS)
            for user in ("", f"user-{n:02}")
        ]
        columns: dict[str, list[Any]] = {
            "total_bytes": [24 * GIB] * points,
            "foreign_bytes": walk(GIB),
            "resident_bytes": walk(GIB),
            "reserved_bytes": walk(GIB),
            "utilisation": [rng.random() for _ in at],
            "temperature": [60 + rng.randrange(20) for _ in at],
            "power_mw": [300_000 + rng.randrange(40_000) for _ in at],
        }
        return {"at_ms": at, "columns": columns, "gaps": [], "holders": holders}

    gpus = {f"gpu-{host}": gpu(host) for host in range(GPUS)}
    return {"from_ms": at[0], "until_ms": until, "step_s": 1, "gpus": gpus}
