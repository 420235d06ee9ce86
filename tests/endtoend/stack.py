"""A whole vramgate as a newcomer starts it, in a folder of its own, on a free port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import redis

REPO = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Stack:
    """``vramgate up`` as a child process."""

    def __init__(self, folder: Path, *options: str, config: str | None = None) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.options = [*options]
        if config is not None:
            self.config = folder / "vramgate.yaml"
            self.config.write_text(config)
            self.options += ["--config", str(self.config)]
        self.log = folder / "up.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, within_s: float = 90) -> None:
        command = [sys.executable, "-m", "cli.main", "up", "--port", str(self.port)]
        command += ["--data-dir", str(self.data_dir), *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=REPO, stdout=log, stderr=log)
        self.wait_ready(within_s)

    def wait_ready(self, within_s: float = 90) -> None:
        deadline = time.monotonic() + within_s
        while not self.ready():
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"up ended with {self.process.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready within {within_s} s:\n{self.tail()}")
            time.sleep(0.05)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def state(self) -> dict[str, Any]:
        """What ``up`` wrote down of itself."""
        found: dict[str, Any] = json.loads((self.data_dir / "run" / "up.json").read_text())
        return found

    def pids(self) -> dict[str, int]:
        """Every process of ours by its role, the embedded server included."""
        state = self.state()
        with redis.Redis.from_url(state["redis"]) as server:
            valkey = server.info("server")["process_id"]
        return {"valkey": valkey} | {role: row["pid"] for role, row in state["services"].items()}

    def kill(self, role: str) -> None:
        """kill -9 one process by its role."""
        os.kill(self.pids()[role], signal.SIGKILL)

    def workers(self) -> list[int]:
        """Pids of the worker processes, as the agent wrote them down."""
        found = json.loads(next(self.data_dir.rglob("workers.json")).read_text())
        rows = found.values() if isinstance(found, dict) else found
        return [row["pid"] for row in rows]

    def stop(self, within_s: float = 60) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(within_s)
