"""The versions of ComfyUI's frontend that the suite drives, and where their files are."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.endtoend.stack import REPO

#: the one of the lock, installed with everything else
LOCKED: Final = "1.27.10"
#: the one in ``frontends.txt``
NEWER: Final = "1.58.1"

_WANTED: Final = Path(__file__).with_name("frontends.txt")
_CACHE: Final = REPO / "out" / "frontends"


def root_of(version: str) -> Path | None:
    """Where a version's ``index.html`` is; None: the installed package has it."""
    return None if version == LOCKED else _unpacked() / "comfyui_frontend_package" / "static"


def _unpacked() -> Path:
    """The folder that holds what ``frontends.txt`` names, checked against its hashes.

    Fetched once: the folder is named after the file's text. Runs side by side may fetch it
    twice, but each renames a whole folder into place.
    """
    folder = _CACHE / hashlib.sha256(_WANTED.read_bytes()).hexdigest()[:16]
    if not folder.is_dir():
        _CACHE.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=_CACHE))
        _install(fresh)
        try:
            fresh.rename(folder)
        except OSError:  # another run was first
            shutil.rmtree(fresh)
    return folder


def _install(folder: Path) -> None:
    what = ["--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(_WANTED)]
    uv = shutil.which("uv")
    command = [uv, "pip"] if uv else [sys.executable, "-I", "-m", "pip"]
    done = subprocess.run(
        [*command, "install", "--quiet", "--target", str(folder), *what],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"could not fetch {_WANTED.name}:\n{done.stdout}"
