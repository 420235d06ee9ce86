"""`vramgate up` as a person starts it: ready, told where, stopped, nothing left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

UP = [sys.executable, "-m", "cli.main", "up", "--port", "0"]
SMALL = ["--simulate", "gpus=1,vram=8GiB,workers=1,speed=100"]


class Running:
    """One instance in a folder of its own."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "run" / "up.json").read_text())
        return found

    def get(self, path: str) -> int:
        try:
            with urllib.request.urlopen(self.state()["gateway"] + path, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def processes(self) -> list[int]:
        """Everything that has the data folder in its command line or working directory."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.process.pid:
                continue
            try:
                about = (entry / "cmdline").read_bytes().decode(errors="replace")
                about += str((entry / "cwd").readlink())
            except OSError:
                continue
            if str(self.folder) in about:
                found.append(int(entry.name))
        return found


@contextmanager
def running(folder: Path, *more: str, environ: dict[str, str] | None = None) -> Iterator[Running]:
    command = [*UP, "--data-dir", str(folder), *(more or SMALL)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environ or {})},
    ) as process:
        try:
            yield Running(process, folder)
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=60)


def until_ready(process: subprocess.Popen[str]) -> str:
    """The block of URLs; it comes when everything answers."""
    assert process.stdout is not None
    block = ""
    for line in process.stdout:
        block += line
        if "Ctrl-C" in line:
            return block
    assert process.stderr is not None
    pytest.fail(f"up ended: {block}{process.stderr.read()}")


def wait_for(true: Any) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_it_says_where_it_is_survives_a_kill_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with running(tmp_path / "data") as up:
        block = until_ready(up.process)
        state = up.state()
        assert state["gateway"] in block
        assert state["dashboard"] in block
        assert "a simulation: 1 GPU of 8 GiB, 1 worker on each" in block
        assert up.get("/readyz") == 200
        assert up.get("/dashboard/api/v1/overview") == 200

        wait_for(lambda: len(up.state()["services"]) == 5)
        old = up.state()["services"]["gateway"]["pid"]
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: up.state()["services"]["gateway"]["pid"] not in (0, old))
        assert up.get("/readyz") == 200  # waited in the listening socket, not refused

        assert up.processes()
        up.process.send_signal(signal.SIGINT)
        _, said = up.process.communicate(timeout=60)
        assert up.process.returncode == 0, said
        assert "nothing is left running" in said
        assert up.processes() == []
        assert not (tmp_path / "data" / "run" / "up.json").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_killed_outright_it_takes_everything_with_it(tmp_path: Path) -> None:
    with running(tmp_path / "data") as up:
        until_ready(up.process)
        up.process.kill()
        up.process.communicate()
        wait_for(lambda: up.processes() == [])


def test_two_on_one_folder_and_two_on_one_port_are_refused(tmp_path: Path) -> None:
    with running(tmp_path / "data") as up:
        until_ready(up.process)
        port = up.state()["gateway"].rpartition(":")[2]
        for arguments, said in (
            (["--data-dir", str(tmp_path / "data")], "already runs on"),
            (["--data-dir", str(tmp_path / "other"), "--port", port], f"port {port} on"),
        ):
            done = subprocess.run(
                [*UP, *SMALL, *arguments], capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 1
            assert said in done.stderr
            assert "Traceback" not in done.stderr


def test_a_part_that_cannot_start_is_one_error_and_all_of_it_ends(tmp_path: Path) -> None:
    with running(
        tmp_path / "data", *SMALL, environ={"VRAMGATE_STORE__URL": "mysql://nowhere/x"}
    ) as up:
        _, said = up.process.communicate(timeout=60)
    assert up.process.returncode == 1
    # whichever of those that open the store gives up first
    assert re.search(r"(gateway|recorder|jobs) cannot start", said), said
    assert "store.url names mysql" in said
    if sys.platform == "linux":
        assert up.processes() == []
