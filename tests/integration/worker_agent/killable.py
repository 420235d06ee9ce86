"""An agent in a process of its own, to be killed or frozen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.worker_agent.bed import fake_spec
from worker_agent.launch import LaunchSpec
from worker_agent.supervisor import Registry, start_time

MAIN = Path(__file__).parent / "agent_main.py"
ROOT = Path(__file__).parents[3]


class Killable:
    """An agent in a process of its own."""

    def __init__(self, url: str, pool: str, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, str(MAIN), url, pool, str(folder)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def spec(self) -> LaunchSpec:
        """Of the worker it started, as it noted it."""
        noted = json.loads((self.folder / "workers.json").read_text())
        spec = fake_spec(self.folder)
        return LaunchSpec(
            id=spec.id,
            command=spec.command,
            env=spec.env,
            url=noted[spec.id]["url"],
            gpu_uuid="",
            log_path=spec.log_path,
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def killable(valkey_url: str, pool_name: str, tmp_path: Path) -> Iterator[Killable]:
    """An agent to be killed; nothing it started outlives the test."""
    agent = Killable(valkey_url, pool_name, tmp_path)
    yield agent
    agent.kill()
    for noted in Registry(tmp_path / "workers.json").read().values():
        if start_time(noted.pid) == noted.started:
            os.killpg(noted.pid, signal.SIGKILL)
