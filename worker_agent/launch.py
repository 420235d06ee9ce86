"""What to start: one ``LaunchSpec`` for each worker process of ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from config.settings import Comfyui
from worker_agent.mps_client import mps_environment, mps_home
from worker_agent.nvml import GpuReading
from worker_agent.probe_pack import ProbePack

#: of our own environment these never reach a ComfyUI: it has its own packages
_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
#: Torch's allocator then reserves 0.3 to 0.9 GiB less for the same work, as fast (decision 25).
_SEGMENTS = ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
#: ComfyUI's own choices of what the probe needs otherwise
_ALLOCATORS = frozenset({"--cuda-malloc", "--disable-cuda-malloc"})
_PAGING = frozenset({"--enable-dynamic-vram", "--disable-dynamic-vram"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """How to start one worker, and where it will answer."""

    #: the worker's id, stable over restarts
    id: str
    command: tuple[str, ...]
    #: the whole environment of the process
    env: Mapping[str, str]
    url: str
    #: GPU it computes on; None: the CPU, or what it says itself
    gpu_uuid: str | None
    #: stdout and stderr are appended here
    log_path: Path
    cwd: Path | None = None
    #: ``output``, ``input``, ``temp`` → folder, so that files outlive the process
    folders: Mapping[str, Path] = field(default_factory=dict)


class NotComfyui(Exception):
    """``agent.comfyui.path`` must be a ComfyUI checkout: a folder that holds main.py."""


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that is not ours."""
    return {
        name: value
        for name, value in environment.items()
        if name not in _OURS and not name.startswith("VRAMGATE_")
    }


def comfyui_specs(
    settings: Comfyui,
    readings: Sequence[GpuReading],
    agent: str,
    data_dir: Path,
    free_port: Callable[[], int],
    max_upload_bytes: int = 100 * 2**20,
    probe: ProbePack | None = None,
) -> list[LaunchSpec]:
    """ComfyUI processes as the settings want them: n on each GPU, or n on the CPU.

    Each gets folders, a user directory and a database of its own below
    ``data_dir`` (ComfyUI shares them by default, and loses updates).

    Raises:
        NotComfyui: the path holds no ``main.py``.
    """
    path = settings.path
    if path is None or not (path / "main.py").is_file():
        raise NotComfyui(f"{path}: no main.py; name a ComfyUI checkout with --comfyui PATH")
    places: list[GpuReading | None] = list(readings) or [None]
    counts = [_count(settings, place) for place in places]
    return [
        _comfyui_spec(
            settings,
            path.resolve(),
            place,
            f"{agent}-{number}",
            data_dir,
            free_port(),
            # ComfyUI counts in MiB, and the form around a file counts too
            max_upload_bytes // 2**20 + 1,
            probe,
        )
        for number, place in enumerate(
            place for place, count in zip(places, counts, strict=True) for _ in range(count)
        )
    ]


def _comfyui_spec(
    settings: Comfyui,
    path: Path,
    gpu: GpuReading | None,
    worker: str,
    data_dir: Path,
    port: int,
    max_upload_mib: int,
    probe: ProbePack | None,
) -> LaunchSpec:
    home = data_dir / "workers" / worker
    folders = {name: home / name for name in ("output", "input", "temp")}
    for folder in (*folders.values(), home / "user"):
        folder.mkdir(parents=True, exist_ok=True)
    env = worker_environment(os.environ)
    if gpu is not None:
        name, value = gpu.selector or ("CUDA_VISIBLE_DEVICES", gpu.uuid)
        env[name] = value
    if settings.mps and gpu is not None:
        env |= mps_environment(mps_home(data_dir), settings.mps_limit)
    if probe is not None:
        env |= probe.environment(worker)
    if probe is not None and gpu is not None and not _ALLOCATORS & set(settings.args):
        env.setdefault(*_SEGMENTS)
    return LaunchSpec(
        id=worker,
        command=(
            *(str(_python(settings, path)), str(path / "main.py")),
            *("--listen", "127.0.0.1", "--port", str(port), "--disable-auto-launch"),
            *("--preview-method", "auto"),
            *("--max-upload-size", str(max_upload_mib)),
            *("--user-directory", str(home / "user")),
            *("--output-directory", str(folders["output"])),
            *("--input-directory", str(folders["input"])),
            # ComfyUI makes its own folder ``temp`` below this one
            *("--temp-directory", str(home)),
            *("--database-url", f"sqlite:///{home / 'comfyui.db'}"),
            *(("--cpu",) if gpu is None else ()),
            *(probe.args if probe is not None else ()),
            *(_bounded(settings, path) if probe is not None and gpu is not None else ()),
            *settings.args,
            *_set_args(settings, gpu, worker),
        ),
        env=env,
        url=f"http://127.0.0.1:{port}",
        gpu_uuid=gpu.uuid if gpu is not None else None,
        log_path=home / "comfyui.log",
        cwd=path,
        folders=folders,
    )


def _bounded(settings: Comfyui, path: Path) -> tuple[str, ...]:
    """What makes a cap bound the bytes that the driver sees (decision 25).

    Torch's own allocator, and in versions that have it no paging of weights outside torch;
    unless an admin has chosen either.
    """
    own = set(settings.args)
    found = () if own & _ALLOCATORS else ("--disable-cuda-malloc",)
    known = path / "comfy" / "cli_args.py"
    if own & _PAGING or not known.is_file() or "--disable-dynamic-vram" not in known.read_text():
        return found
    return (*found, "--disable-dynamic-vram")


def _count(settings: Comfyui, gpu: GpuReading | None) -> int:
    """Workers on one GPU, or on the CPU."""
    given = [
        one.workers for one in settings.sets if one.workers is not None and _matches(one.match, gpu)
    ]
    return given[-1] if given else settings.workers_per_gpu


def _set_args(settings: Comfyui, gpu: GpuReading | None, worker: str) -> list[str]:
    return [
        arg
        for one in settings.sets
        if _matches(one.match, gpu) or fnmatchcase(worker, one.match)
        for arg in one.args
    ]


def _matches(pattern: str, gpu: GpuReading | None) -> bool:
    names = () if gpu is None else (str(gpu.index), gpu.uuid, gpu.name)
    return any(fnmatchcase(name, pattern) for name in names)


def _python(settings: Comfyui, path: Path) -> Path:
    if settings.python is not None:
        return settings.python
    for name in (".venv", "venv"):
        found = path / name / "bin" / "python"
        if found.exists():
            return found
    return Path(sys.executable)
