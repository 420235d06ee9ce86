"""Where and how a bench runs: ComfyUI, card, folders, results; what all parts share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.gpu import rows
from bench.gpu.card import Card, Holder
from config.settings import Comfyui
from worker_agent.launch import worker_environment

_GIB: Final = 2**30
_CHECKPOINTS: Final = Path(__file__).with_name("checkpoints.py")
_PAGE: Final = "<!doctype html><title>bench</title>"
#: parts of a row that are for programs
_LONG: Final = ("each", "booked", "profiles")
#: how long checkpoints may take to be written
_WRITE_S: Final = 400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the command line says."""

    comfyui: Path
    python: Path
    #: of ComfyUI processes, beside what vramgate gives each
    args: tuple[str, ...]
    workers: int
    #: what is left of the card; None: all of it
    gib: float | None
    #: 0: as recorded, n: shuffled with seed n
    order: int
    times: int
    rounds: int
    cpu: bool
    results: Path | None
    folder: Path
    #: most seconds for one round of the mix
    limit_s: float
    #: most seconds until workers answer
    start_s: float
    #: further sections of vramgate's config file
    config: Mapping[str, Any]
    card: Card

    def processes(self, count: int) -> Comfyui:
        """So many ComfyUIs, as vramgate's settings name them."""
        return Comfyui(path=self.comfyui, python=self.python, workers_per_gpu=count, args=self.args)

    def place(self, name: str) -> Path:
        """A folder of its own for a part."""
        found = self.folder / f"{name}-{time.time_ns()}"
        found.mkdir(parents=True)
        return found

    def note(self, part: str, found: rows.Row) -> None:
        """Tell how a part went, and keep it."""
        row = {**_heading(self, part), **found}
        if self.results is not None:
            rows.append(self.results, row)
        shown = {name: value for name, value in row.items() if name not in _LONG}
        print(json.dumps(shown), flush=True)

    @contextmanager
    def narrow(self) -> Iterator[int]:
        """Leave only so much of the card while the block runs; bytes held."""
        if self.gib is None or self.card.reading() is None:
            yield 0
            return
        holder = Holder.start(self.python, os.environ, "--leave", str(int(self.gib * _GIB)))
        try:
            yield holder.wait()
        finally:
            holder.stop()


def say(text: str) -> None:
    """Progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def front_end(folder: Path) -> tuple[str, ...]:
    """Arguments that make ComfyUI start without the package of its browser UI."""
    page = folder / "page"
    page.mkdir(parents=True, exist_ok=True)
    (page / "index.html").write_text(_PAGE)
    return ("--front-end-root", str(page), "--disable-api-nodes")


def write_checkpoints(setting: Setting) -> None:
    """Write those that are missing, and read all of them once: none comes from disk later.

    Raises:
        CalledProcessError: ComfyUI's Python cannot.
    """
    which = ["--only", "sd15-small", "--cpu"] if setting.cpu else []
    subprocess.run(
        [str(setting.python), str(_CHECKPOINTS), "--comfyui", str(setting.comfyui), *which],
        env=worker_environment(os.environ),
        check=True,
        timeout=_WRITE_S,
        stdout=sys.stderr,
    )
    for file in (setting.comfyui / "models" / "checkpoints").glob("*.safetensors"):
        with file.open("rb", buffering=0) as opened:
            while opened.read(64 * 2**20):
                pass


def versions(url: str) -> rows.Row:
    """What a ComfyUI says of itself."""
    with urllib.request.urlopen(url + "/system_stats", timeout=10) as answer:
        system = json.load(answer)["system"]
    names = ("comfyui_version", "pytorch_version", "python_version")
    return {name.removesuffix("_version"): system.get(name) for name in names}


def _heading(setting: Setting, part: str) -> rows.Row:
    reading = setting.card.reading()
    return {
        "at": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
        "part": part,
        "gpu": "none" if reading is None else reading.name,
        "gib": setting.gib,
        "order": setting.order,
        "times": setting.times,
        "args": [arg for arg in setting.args if not arg.startswith("/")],
    }
