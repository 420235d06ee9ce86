from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from simulator.comfyui.app import build_app
from simulator.comfyui.catalog import Catalog, ModelFile
from simulator.comfyui.options import NO_SLEEP_SPEED, WorkerOptions

Client = TestClient[Any, Any]
StartWorker = Callable[..., Awaitable[Client]]

LAB_CATALOG = Catalog((ModelFile("checkpoints", "lab_random_sd15.safetensors", 628_389_150),))


@pytest.fixture
async def start_worker(tmp_path: Path) -> AsyncIterator[StartWorker]:
    """Starts simulated workers below ``tmp_path``; returns a client for each."""
    clients: list[Client] = []

    async def start(**options: Any) -> Client:
        given = {"data_dir": tmp_path / "ComfyUI", "speed": NO_SLEEP_SPEED, "seed": 1, **options}
        client: Client = TestClient(TestServer(build_app(WorkerOptions(**given))))
        clients.append(client)
        await client.start_server()
        return client

    yield start
    for client in clients:
        await client.close()
