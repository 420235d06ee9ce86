"""The whole application over the simulated day of a studio, with a pool that works just now.

The gateway with its door, keys and dashboard as ``vramgate gateway`` builds them; the ledger is in
memory. Its clock begins where the day ends, so that "the last 24 hours" is that day whenever the
test runs. Browsers get the same clock (``tests.browser.dashboard``).
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from aiohttp.test_utils import TestServer
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.trial import trier
from cli.what_if import play_one
from config.settings import AuthMode, Settings
from dashboard import app as dashboard
from dashboard.description import describe
from dashboard.reading import reading
from gateway.app import build, make_services
from gateway.context import identity
from gateway.memory_ports import MemoryArchive, MemoryDocuments, MemoryInputFiles
from scheduler.ledger import Admitted, Claimed, Grant, Report
from scheduler.live import Standing
from scheduler.memory_books import Books
from scheduler.memory_ledger import MemoryLedger
from scheduler.states import (
    Agent,
    Gpu,
    GpuState,
    Lane,
    MemoryLimit,
    MemorySource,
    NewJob,
    Vitals,
    WaitReason,
    Worker,
    WorkerState,
)
from simulator.day.studio import NODES, PEOPLE, WORKERS_PER_GPU, settings
from store import history_schema
from store.alert_books import LOOKED_MARK
from store.engine import open_engine, writing
from tests.operations import Done

GIB: Final = 2**30
_LEASE_MS: Final = 3_600_000
_TOKEN: Final = "cluster-token-of-the-studio"
#: p50 and p90 of what waits in the pool, in seconds from when ``foresee`` is told them
STARTS: Final = {"a2": (25.0, 61.0), "a3": (58.0, 130.0), "b2": (31.0, 90.0), "f2": (190.0, 420.0)}
#: seconds between two heartbeats
_BEAT_S: Final = 2.0


def key_of(user: str) -> str:
    """What a user logs in with."""
    return f"key-of-{user}-0001"


def studio_settings() -> Settings:
    """The studio's, with keys."""
    plain = settings()
    users = tuple(one.model_copy(update={"key": key_of(one.name)}) for one in plain.users)
    auth = plain.auth.model_copy(update={"mode": AuthMode.KEYS})
    return plain.model_copy(update={"users": users, "auth": auth})


class Told:
    """Where running jobs stand, as a test says."""

    def __init__(self) -> None:
        self.at: dict[str, Standing] = {}
        self.users: frozenset[str] = frozenset()

    def follow(self, users: frozenset[str]) -> None:
        """Whose jobs are wanted."""
        self.users = users

    def standings(self) -> Mapping[str, Standing]:
        """As told."""
        return self.at


@dataclass
class Studio:
    """The running application."""

    url: str
    ledger: MemoryLedger
    progress: Told
    epoch: int
    #: jobs by a short name: what ``work`` has queued and started
    jobs: dict[str, NewJob]
    store_url: str

    def now_ms(self) -> int:
        """The studio's clock."""
        return self.ledger.books.clock_ms()

    async def beat(self) -> None:
        """Each host's agent reports."""
        for node in NODES:
            await self.ledger.report(_report(node))

    async def submit(self, name: str, user: str, **changes: Any) -> NewJob:
        """Queue a job."""
        job_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}-{len(self.jobs)}"))
        job = NewJob(
            id=job_id,
            user=user,
            group=PEOPLE.get(user, "default"),
            prompt_id=job_id,
            client_id=f"tab-of-{user}",
            lane=changes.pop("lane", Lane.INTERACTIVE),
            front=False,
            fingerprint="fp-studio",
            models=("checkpoints/studio.safetensors",),
            need_bytes=changes.pop("need_bytes", 9 * GIB),
            need_seconds=changes.pop("need_seconds", 42.0),
            needs_gpu=True,
        )
        graph = {
            "3": {"class_type": "KSampler", "inputs": {"seed": 1}},
            "8": {"class_type": "VAEDecode", "inputs": {}},
        }
        body = json.dumps({"prompt": graph, "extra_data": {}, "outputs": ["8"]}).encode()
        await self.ledger.submit(job, body, max_queued=None)
        self.jobs[name] = job
        return job

    async def start(self, name: str, worker: str, bytes_: int) -> None:
        """Let a queued job run on a worker."""
        seen = await self.ledger.snapshot(1000)
        wanted = self.jobs[name].id
        job = next(one for log in seen.backlogs for one in log.jobs if one.id == wanted)
        on = next(one for one in seen.workers if one.id == worker)
        grant = Grant(bytes=bytes_, capacity_bytes=23 * GIB)
        admitted = await self.ledger.admit(self.epoch, job, on, grant, _LEASE_MS)
        assert isinstance(admitted, Admitted), admitted
        claimed = await self.ledger.claim(
            job.id, admitted.attempt, worker, str(uuid.uuid4()), "sid", _LEASE_MS
        )
        assert isinstance(claimed, Claimed), claimed

    async def explain(self, name: str, reason: WaitReason, text: str, blocker: str = "") -> None:
        """Why a job waits."""
        await self.ledger.explain(self.epoch, {self.jobs[name].id: (reason, text, blocker)})

    async def foresee(self, **starts: tuple[float, float]) -> None:
        """When jobs start: p50 and p90 in seconds from now."""
        now = self.now_ms()
        found = {
            self.jobs[name].id: (now + int(p50 * 1000), now + int(p90 * 1000))
            for name, (p50, p90) in starts.items()
        }
        await self.ledger.foresee(self.epoch, found, await self.ledger.trust())


@asynccontextmanager
async def open_studio(store_url: str, folder: Path, until_ms: int) -> AsyncIterator[Studio]:
    """Serve it on a free port of this machine.

    Args:
        store_url: a store with the day in it.
        folder: for uploads.
        until_ms: where the day ends and the clock begins.
    """
    began = time.monotonic()

    def clock() -> float:
        return until_ms / 1000 + time.monotonic() - began

    books = Books(lambda: int(clock() * 1000), lambda: uuid.uuid4().hex)
    ledger, progress, engine = MemoryLedger(books), Told(), open_engine(store_url)
    current = studio_settings()
    services = make_services(
        settings=lambda: current,
        ledger=ledger,
        archive=MemoryArchive(),
        documents=MemoryDocuments(clock),
        input_files=MemoryInputFiles(),
        files_dir=folder,
        cluster_token=_TOKEN,
        clock=clock,
    )
    pages = dashboard.build(
        ledger,
        services.settings,
        lambda request: (identity(request).user, identity(request).role),
        try_out=trier(services),
        reading=reading(engine, clock, lambda: uuid.uuid4().hex),
        progress=progress,
        operations=Done(lambda: current, logs={"studio-a-0": "ready\nloaded a model"}).operations(),
        ask_what_if=lambda id_: _play_now(engine, id_, clock),
        clock=clock,
    )
    app = build(
        services,
        cluster_token=_TOKEN,
        extra_apps={"/dashboard": pages},
        described={"/dashboard": describe()},
    )
    async with TestServer(app) as server:
        epoch = await ledger.lead("studio", 365 * 86_400_000)
        assert epoch is not None
        studio = Studio(
            str(server.make_url("")).rstrip("/"), ledger, progress, epoch, {}, store_url
        )
        await studio.beat()
        beating = asyncio.create_task(_beating(studio, engine))
        try:
            yield studio
        finally:
            beating.cancel()
            await asyncio.wait([beating])
    await engine.dispose()


async def work(studio: Studio) -> None:
    """Put the pool to work: four jobs run, others wait for reasons of each kind."""
    for name, user, worker, gib in (
        ("a", "anna", "studio-a-0", 14),
        ("b", "ben", "studio-a-2", 9),
        ("d", "dora", "studio-a-3", 8),
        ("e", "emil", "studio-b-0", 11),
    ):
        await studio.submit(name, user)
        await studio.start(name, worker, gib * GIB)
    for name, user, lane in (
        ("a2", "anna", Lane.INTERACTIVE),
        ("a3", "anna", Lane.INTERACTIVE),
        ("b2", "ben", Lane.INTERACTIVE),
        ("c2", "cleo", Lane.BATCH),
        ("f2", "finn", Lane.INTERACTIVE),
    ):
        await studio.submit(name, user, lane=lane)
    held = await studio.submit("held", "dora")
    await studio.ledger.hold("dora", held.id, held=True)
    blocker = studio.jobs["a"].id
    no_room = "needs 9.0 GiB; the most that is free on one GPU is 7.6 GiB"
    await studio.explain("a2", WaitReason.NO_HEADROOM, no_room, "GPU-a0")
    await studio.explain("a3", WaitReason.FAIRNESS, "others have used less today")
    await studio.explain("b2", WaitReason.HELD_FOR_HEAD, "room is kept for a job of anna", blocker)
    await studio.explain(
        "c2", WaitReason.BUDGET, "cleo has used 40.2 of 40 GPU hours of this month"
    )
    await studio.explain("f2", WaitReason.CAP, "1 job of finn may run at once")
    await studio.foresee(**STARTS)
    since = studio.now_ms() - 9_000
    studio.progress.at = {
        studio.jobs["a"].id: Standing(
            node="3", class_type="KSampler", value=11, most=20, done=4, nodes=7, since_ms=since
        ),
        studio.jobs["b"].id: Standing(
            node="8", class_type="VAEDecode", done=6, nodes=7, since_ms=since
        ),
    }


async def _play_now(engine: AsyncEngine, id_: str, clock: Callable[[], float]) -> None:
    """The jobs' queue, without the wait: answered when it has been asked."""
    await play_one(engine, id_, clock)


async def _beating(studio: Studio, engine: AsyncEngine) -> None:
    marks = history_schema.marks
    looked = marks.update().where(marks.c.name == LOOKED_MARK)
    while True:
        await studio.beat()
        # as a recorder does that looks at the rules of alerts
        async with writing(engine) as connection:
            await connection.execute(looked.values(at_ms=studio.now_ms()))
        await asyncio.sleep(_BEAT_S)


def _report(node: Any) -> Report:
    workers, gpus = [], []
    for index, gpu in enumerate(node.gpus):
        old = node.vram_bytes < 12 * GIB
        gpus.append(_gpu(node, gpu, index))
        for n in range(WORKERS_PER_GPU):
            worker = Worker(
                id=f"{node.id}-{index * WORKERS_PER_GPU + n}",
                agent=node.id,
                gpu=gpu,
                state=WorkerState.READY,
                used_bytes=(3 - n) * GIB // (4 if old else 1),
                models=("checkpoints/studio.safetensors",) if not n else (),
                has_probe=True,
                limit=MemoryLimit.OBSERVED if old else MemoryLimit.ENFORCED,
            )
            told = replace(worker, limit=MemoryLimit.TOLD) if node.id == "studio-b" else worker
            workers.append(told)
    agent = Agent(id=node.id, url=f"http://127.0.0.1:1/{node.id}", version="1", heartbeat_ms=0)
    return Report(agent=agent, workers=workers, gpus=gpus)


def _gpu(node: Any, gpu: str, index: int) -> Gpu:
    hot = node.id == "studio-b"
    return Gpu(
        id=gpu,
        agent=node.id,
        index=index,
        name=node.model,
        total_bytes=node.vram_bytes,
        used_bytes=5 * GIB,
        foreign_bytes=GIB if index else 0,
        state=GpuState.READY,
        memory_source=MemorySource.NVML,
        vitals=Vitals(
            utilisation=0.97 if hot else 0.64,
            temperature_c=86 if hot else 67,
            power_mw=341_000 if hot else 288_000,
            clock_mhz=1_410 if hot else 2_520,
            throttled=("hw_thermal",) if hot else (),
            ecc_uncorrected=0,
        ),
    )
