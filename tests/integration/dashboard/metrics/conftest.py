"""A metrics page over a pool that works and a store that has recorded it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy.ext.asyncio import AsyncEngine

from config.settings import Settings
from dashboard.history.pool_recorder import PoolRecorder
from dashboard.history.probe_recorder import ProbeRecorder
from dashboard.history.recorder import Recorder
from dashboard.metrics.page import MetricsPage
from dashboard.sampler import Sampler
from gateway.request_metrics import RequestMetrics
from scheduler.ledger import Ending
from store.alerts import SqlAlerts
from store.tallies import SqlTallies
from tests.integration.dashboard.conftest import Floor
from tests.integration.history.probe_words import node, told


def installed(name: str, package: str) -> str:
    """A program of one of Debian's packages, which CI installs."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: apt-get install {package}, or put it on PATH")
    return found


@pytest.fixture(scope="session")
def promtool() -> str:
    return installed("promtool", "prometheus")


def check(promtool: str, *words: str, text: str = "") -> str:
    """What promtool says; it must find nothing wrong."""
    done = subprocess.run(
        [promtool, *words], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Scraped:
    """A page, and the recorders that count."""

    client: TestClient[web.Request, web.Application]
    floor: Floor
    engine: AsyncEngine
    page: MetricsPage
    #: what the page thinks how late it is; seconds
    now: list[float]

    async def record(self) -> None:
        """All three recorders once."""
        ledger = self.floor.ledger
        await Recorder(ledger, self.engine, time.monotonic).record_once(1)
        await ProbeRecorder(ledger, self.engine, time.monotonic).record_once(1)
        pool = PoolRecorder(ledger, self.engine, time.time, silent_s=60)
        await pool.sample()
        await pool.store()

    async def text(self, accept: str = "") -> str:
        self.now[0] += 2
        headers = {"Accept": accept} if accept else {}
        answer = await self.client.get("/metrics", headers=headers)
        assert answer.status == 200, await answer.text()
        return await answer.text()


@pytest.fixture
async def scraped(floor: Floor, engine: AsyncEngine) -> AsyncIterator[Scraped]:
    settings = Settings.model_validate(
        {
            "redis": {"pool": floor.ledger.keys.prefix[4:-2]},
            "metrics": {"users": True},
            "users": [{"name": "ann", "key": "key-of-ann-01"}],
            "scheduler": {"heartbeat": 600},
        }
    )
    now = [0.0]
    page = MetricsPage(
        Sampler(floor.ledger, lambda: settings, lambda: now[0]),
        floor.ledger,
        SqlTallies(engine),
        lambda: settings,
        version="1.2.3",
        may=lambda request: True,
        own=RequestMetrics().registry,
        alerts=SqlAlerts(engine, time.time, lambda: "one"),
        clock=lambda: now[0],
    )
    app = web.Application()
    app.add_subapp("/metrics", page.app())
    async with TestClient(TestServer(app)) as client:
        yield Scraped(client, floor, engine, page, now)


async def work(scraped: Scraped) -> None:
    """A job that succeeds, one that fails, one that runs, two that wait; nodes of the first."""
    floor = scraped.floor
    first = await floor.submit("ann")
    await floor.settle(first, await floor.start(first), peak_bytes=5 * 2**30, run_seconds=3.0)
    ours = {"job": first.id, "attempt": 1}
    await floor.ledger.tell(
        told(
            node(1, seconds=2.5, **ours),
            node(2, "4", "VAEDecode", fallback="tiled", **ours),
            node(3, "5", cached=True, **ours),
            {"seq": 4, "kind": "model", "what": "load", "model": "sdxl", "seconds": 1.5, **ours},
            {"seq": 5, "kind": "gap", "lost": 7},
        )
    )
    second = await floor.submit("bob")
    await floor.settle(second, await floor.start(second), Ending.FAILED)
    third = await floor.submit("ann")
    await floor.start(third, "host-1")
    for _ in range(2):
        await floor.submit("bob")
