"""The README's commands in a copy that has never been started, and the wheel."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.clone, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git would hand out now: tracked files, and new ones that are not ignored."""
    target = tmp_path_factory.mktemp("clone") / "a folder with spaces"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def bare_environ(home: Path, *tools: str) -> dict[str, str]:
    """No Node, no Redis, no uv: a PATH with nothing but Python (and what is named)."""
    folder = home / "bin"
    folder.mkdir(exist_ok=True)
    for tool, place in {
        "python3": os.path.realpath(sys.executable),
        **{name: shutil.which(name) or "" for name in tools},
    }.items():
        link = folder / tool
        if place and not link.exists():
            link.symlink_to(place)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("VRAMGATE_")}
    kept.pop("PYTHONPATH", None)
    return {**kept, "PATH": str(folder), "HOME": str(home)}


@contextmanager
def up(command: list[str], environ: dict[str, str], data: Path) -> Iterator[str]:
    """The gateway's URL once it is ready."""
    with subprocess.Popen(
        [*command, "up", "--port", "0", "--data-dir", str(data)],
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
        cwd=data.parent,
    ) as process:
        assert process.stdout is not None
        try:
            block = ""
            for line in process.stdout:
                block += line
                if "Ctrl-C" in line:
                    break
            found = re.search(r"ComfyUI URL\s+(\S+)", block)
            assert found, block
            yield found[1]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
    assert process.returncode == 0


def status(url: str) -> int:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return int(answer.status)


def test_a_fresh_clone_comes_up_with_nothing_but_python(clone: Path, tmp_path: Path) -> None:
    environ = bare_environ(tmp_path)
    command = [str(clone / "run")]
    with up(["python3", *command], environ, tmp_path / "data") as url:
        assert status(f"{url}/readyz") == 200
        assert status(f"{url}/") == 200
        deadline = time.monotonic() + 300
        while not (clone / "dashboard" / "static" / "index.html").exists():
            assert time.monotonic() < deadline, "the dashboard's pages were not built"
            time.sleep(0.5)
        assert status(f"{url}/dashboard/") == 200
    again = subprocess.run(
        ["python3", *command, "version"], env=environ, capture_output=True, text=True, check=True
    )
    assert "making .venv" not in again.stderr


def test_a_half_made_environment_is_made_again(clone: Path, tmp_path: Path) -> None:
    environ = bare_environ(tmp_path)
    (clone / ".venv" / "vramgate-stamp.json").unlink(missing_ok=True)
    starts = [
        subprocess.Popen(
            ["python3", str(clone / "run"), "version"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    answers = [start.communicate(timeout=600) for start in starts]
    assert [start.returncode for start in starts] == [0, 0], answers
    assert all(out.startswith("vramgate ") for out, _ in answers)
    assert sum("making .venv" in err for _, err in answers) == 1


def test_the_wheel_runs_outside_of_any_checkout(clone: Path, tmp_path: Path) -> None:
    built = tmp_path / "dist"
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(built), str(clone)],
        check=True,
        cwd=tmp_path,
    )
    [wheel] = built.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"{wheel}[demo]"], check=True)
    vramgate = [str(tmp_path / "venv" / "bin" / "vramgate")]
    environ = bare_environ(tmp_path)
    with up(vramgate, environ, tmp_path / "data") as url:
        assert status(f"{url}/readyz") == 200
        assert status(f"{url}/dashboard/") == 200
    shown = subprocess.run(
        [*vramgate, "config", "example"], env=environ, capture_output=True, text=True, check=True
    )
    assert shown.stdout.startswith("# vramgate.yaml")
