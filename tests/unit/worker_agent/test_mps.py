"""The agent's MPS daemon, on a stand-in for NVIDIA's program."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from worker_agent.mps import Mps
from worker_agent.mps_client import mps_environment

DAEMON = """#!/bin/sh
if [ "$1" = "-f" ]; then
  echo "$CUDA_VISIBLE_DEVICES" > "$CUDA_MPS_LOG_DIRECTORY/gpus"
  exec sleep 60
fi
cat > "$CUDA_MPS_PIPE_DIRECTORY/told"
"""


@pytest.fixture
def control(tmp_path: Path) -> str:
    path = tmp_path / "nvidia-cuda-mps-control"
    path.write_text(DAEMON)
    path.chmod(0o755)
    return str(path)


class Deaths:
    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> None:
        self.count += 1


def daemon(tmp_path: Path, control: str, deaths: Deaths) -> Mps:
    return Mps(tmp_path / "mps", ["GPU-0", "GPU-1"], dict(os.environ), deaths, control)


async def test_it_serves_our_gpus_from_folders_of_its_own_and_is_told_to_quit(
    tmp_path: Path, control: str
) -> None:
    mps = daemon(tmp_path, control, Deaths())
    mps.start()
    said = tmp_path / "mps/log/gpus"
    async with asyncio.timeout(30):
        while not said.exists() or not said.read_text():
            await asyncio.sleep(0.02)
    assert said.read_text() == "GPU-0,GPU-1\n"
    assert (tmp_path / "mps/pipe").stat().st_mode & 0o077 == 0
    await mps.stop()
    assert (tmp_path / "mps/pipe/told").read_text() == "quit\n"
    assert mps.pid is None


async def test_a_daemon_that_dies_is_noticed_and_started_again(
    tmp_path: Path, control: str
) -> None:
    deaths = Deaths()
    mps = daemon(tmp_path, control, deaths)
    mps.start()
    watching = asyncio.create_task(mps.run())
    try:
        before = mps.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        async with asyncio.timeout(20):
            while mps.pid in (None, before):
                await asyncio.sleep(0.02)
        assert deaths.count == 1
    finally:
        watching.cancel()
        await mps.stop()


async def test_the_next_agent_adopts_the_daemon_that_lives(tmp_path: Path, control: str) -> None:
    first, second = (daemon(tmp_path, control, Deaths()) for _ in range(2))
    first.start()
    second.start()
    assert second.pid == first.pid
    await second.stop()


def test_a_worker_s_limit_is_of_the_one_gpu_that_it_sees(tmp_path: Path) -> None:
    env = mps_environment(tmp_path, 6 * 2**30)
    assert env["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] == "0=6144M"
    assert "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT" not in mps_environment(tmp_path, None)
