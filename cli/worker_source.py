"""What `vramgate up` computes on: what it was told, a ComfyUI that runs here, or a simulation."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from cli.errors import UsageError
from cli.http_get import http_get
from config.loading import Option
from config.settings import Agent

COMFYUI_PORT: Final = 8188
DEFAULT_SIMULATION: Final = "gpus=2,vram=24GiB,workers=2"
_LOOK_S: Final = 1.0
_WORKER: Final = re.compile(r"^(?P<url>https?://[^@\s]+?)/?(?:@gpu(?P<gpu>\d+))?$")


@dataclass(frozen=True, slots=True)
class WorkerSource:
    """What it is, in words, and the options that say so to the agent."""

    words: str
    simulated: bool
    options: tuple[Option, ...] = ()


def parse_worker(text: str) -> dict[str, Any]:
    """``http://host:8188@gpu0`` → the settings of one worker.

    Raises:
        UsageError: it is no such thing.
    """
    found = _WORKER.match(text)
    if found is None or not _is_address(found["url"]):
        raise UsageError(
            f"--worker {text}: write the URL of a ComfyUI, for example http://127.0.0.1:8188 or, to "
            "say which GPU it computes on, http://127.0.0.1:8188@gpu0"
        )
    worker: dict[str, Any] = {"url": found["url"]}
    if found["gpu"] is not None:
        worker["gpu"] = int(found["gpu"])
    return worker


def told(agent: Agent) -> WorkerSource | None:
    """What settings and options name, or None where they name nothing."""
    if agent.simulate is not None:
        return WorkerSource(_simulation(agent.simulate), simulated=True)
    parts = []
    if agent.comfyui.path is not None:
        count = agent.comfyui.workers_per_gpu
        each = "1 process" if count == 1 else f"{count} processes"
        parts.append(f"ComfyUI in {agent.comfyui.path}, {each} per GPU")
    if agent.workers:
        parts.append("ComfyUI at " + ", ".join(_place(worker) for worker in agent.workers))
    return WorkerSource("; ".join(parts), simulated=False) if parts else None


async def found_or_simulated() -> WorkerSource:
    """A ComfyUI that answers on its usual port, else a simulation."""
    url = f"http://127.0.0.1:{COMFYUI_PORT}"
    answer = await http_get("127.0.0.1", COMFYUI_PORT, "/system_stats", _LOOK_S)
    if answer is not None and answer[0] == 200 and _is_comfyui(answer[1]):
        return WorkerSource(
            f"the ComfyUI found at {url}",
            simulated=False,
            options=(Option("agent.workers", [{"url": url}], "found"),),
        )
    return WorkerSource(
        f"{_simulation(DEFAULT_SIMULATION)} (no ComfyUI answers at {url}; "
        "--worker URL or --comfyui PATH names a real one)",
        simulated=True,
        options=(Option("agent.simulate", DEFAULT_SIMULATION, "default"),),
    )


def check_simulation(text: str) -> None:
    """Refuse a bad ``--simulate`` before anything is started.

    Raises:
        UsageError: what is wrong with it.
    """
    from simulator.spec import SimulationSpec

    try:
        SimulationSpec.parse(text)
    except ValueError as error:
        raise UsageError(f"--simulate: {error}") from error


def _simulation(text: str) -> str:
    from simulator.spec import SimulationSpec

    spec = SimulationSpec.parse(text)
    pace = "" if spec.speed == 1 else f", {spec.speed:g} times real speed"
    if not spec.gpus:
        return f"a simulation: {spec.workers} workers without a GPU{pace}"
    gpus = "1 GPU" if spec.gpus == 1 else f"{spec.gpus} GPUs"
    workers = "1 worker" if spec.workers == 1 else f"{spec.workers} workers"
    return f"a simulation: {gpus} of {spec.vram_bytes / 2**30:g} GiB, {workers} on each{pace}"


def _place(worker: Any) -> str:
    return worker.url if worker.gpu is None else f"{worker.url} (GPU {worker.gpu})"


def _is_address(url: str) -> bool:
    """Whether it names a host, and a port that exists where it names one."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_comfyui(body: bytes) -> bool:
    try:
        return "comfyui_version" in json.loads(body)["system"]
    except (ValueError, KeyError, TypeError):
        return False
