"""`./run` and its locks."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = ["requirements.lock", "requirements-dev.lock"]


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    found = [re.match(r"([a-z0-9-]+)==([^ ;]+)", line) for line in lines if line[:1] not in " #"]
    assert all(found), "a line that pins nothing"
    return {one[1]: one[2] for one in found if one}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_hashes_and_no_addresses(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"://|^-|@ ", text, re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text.strip())
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_both_locks_agree() -> None:
    run, dev = (pins(name) for name in LOCKS)
    assert {name: dev.get(name) for name in run} == run


def test_what_the_project_needs_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for name, needed in (
        (LOCKS[0], [*project["dependencies"], *extras["demo"], *extras["postgres"], *extras["ui"]]),
        (LOCKS[1], extras["dev"]),
    ):
        words = [re.split(r"[<>=\[;]", one)[0].strip().lower() for one in needed]
        missing = [word for word in words if word != "vramgate" and word not in pins(name)]
        assert missing == [], f"write {name} anew, see CONTRIBUTING.md"


def test_help_teaches_without_making_anything(tmp_path: Path) -> None:
    for word in ("--help", "help", "-h"):
        done = subprocess.run(
            [sys.executable, str(ROOT / "run"), word],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )
        assert "./run up" in done.stdout
        assert done.stderr == ""


def test_the_readme_s_commands_exist() -> None:
    known = {"up", "status", "users", "config", "version", "test", "lint", "bench", "ui"}
    known |= {"gateway", "scheduler", "agent", "recorder", "jobs", "ui-packages", "simulate"}
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    used = {
        match[1] for page in pages for match in re.finditer(r"\./run ([a-z-]+)", page.read_text())
    }
    assert used - known - {"--help"} == set()
