"""A simulated worker as the process that a supervisor starts."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from simulator.launch import prepare_gpus, worker_command
from simulator.nvml import FakeNvml
from simulator.spec import SimulationSpec
from tests.integration.simulator.prompts import stable_diffusion

SPEC = SimulationSpec(speed=1000.0)


@asynccontextmanager
async def worker(
    gpu: Path | None, data_dir: Path
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = worker_command(sys.executable, port, gpu, data_dir, SPEC)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert b"listens" in await process.stdout.readline()
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_worker_stops_cleanly_when_it_is_told_to(tmp_path: Path) -> None:
    (gpu,) = prepare_gpus(SPEC, tmp_path)
    async with (
        worker(gpu, tmp_path / "w") as (url, process),
        aiohttp.ClientSession(url) as session,
        session.ws_connect("/ws"),
    ):
        answer = await session.post("/prompt", json={"prompt": stable_diffusion()})
        assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    assert not (tmp_path / "w" / "temp").exists()
    assert FakeNvml([gpu]).devices()[0].used_bytes == 0


async def test_a_killed_worker_leaves_nothing_on_the_card(tmp_path: Path) -> None:
    (gpu,) = prepare_gpus(SPEC, tmp_path)
    reader = FakeNvml([gpu])
    async with worker(gpu, tmp_path / "w") as (_, process):
        assert list(reader.devices()[0].processes) == [process.pid]
        process.kill()
        await process.wait()
        assert reader.devices()[0].processes == {}


async def test_a_worker_without_a_card_starts_too(tmp_path: Path) -> None:
    async with worker(None, tmp_path / "w") as (url, _), aiohttp.ClientSession(url) as session:
        answer = await session.get("/api/system_stats")
        assert (await answer.json())["devices"][0]["type"] == "cpu"
