"""What several of the command line's tests stand on."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from cli.hosts import Hosts
from scheduler.ledger import Pool
from scheduler.states import Agent
from store.engine import open_engine
from store.migrate import migrate
from tests.unit.cli.place import TOKEN, Place
from worker_agent import endpoint
from worker_agent.captures import Captures
from worker_agent.comfy_client import ComfyClient, new_session
from worker_agent.files import WorkerFiles
from worker_agent.judge import Judge
from worker_agent.live import LiveHub
from worker_agent.packs import PackRoutes
from worker_agent.worker_logs import WorkerLogs


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    engine = open_engine(f"sqlite:///{tmp_path / 'a.db'}")
    await migrate(engine)
    folder = tmp_path / "worker"
    folders = {name: folder / name for name in ("output", "temp")}
    async with new_session() as session:
        silent = ComfyClient(session, "http://127.0.0.1:9")  # the worker is down
        files = WorkerFiles(
            lambda worker: silent if worker in ("host-0", "host-1") else None,
            lambda worker: folders if worker == "host-0" else {},
        )
        packs = PackRoutes(lambda worker: None)
        app = endpoint.build(
            "host",
            "1",
            TOKEN,
            LiveHub(time.monotonic),
            files,
            packs,
            WorkerLogs(lambda worker: None),
            Judge(lambda worker: None),
            Captures(lambda _: None),
        )
        async with TestServer(app) as server:
            agent = Agent(id="host", url=str(server.make_url("")), version="1", heartbeat_ms=0)
            async with Hosts(Pool(now_ms=0, agents={"host": agent}), TOKEN) as hosts:
                yield Place(engine, hosts, folder)
    await engine.dispose()
