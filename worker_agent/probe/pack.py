"""Entry for ComfyUI: finds its parts, hooks into them, opens the routes."""

from __future__ import annotations

import importlib
import logging
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .card import Card
from .control import Control
from .hooks import MARK, hold_execution
from .limit import Limiter
from .memory import Memory
from .meter import Meter
from .models import hold_models, hold_vae
from .monitor import CLASS, PerformanceMonitor
from .names import hold_loaders
from .perf_json import PerfJson
from .probe import Probe
from .release import Releaser
from .routes import Routes
from .settings import BadSettings, Settings, from_environment
from .strangers import Strangers
from .turn import Turn

NODE_CLASS_MAPPINGS = {CLASS: PerformanceMonitor}
NODE_DISPLAY_NAME_MAPPINGS = {CLASS: "Performance Monitor"}

#: of the pack; the routes tell it
VERSION = "1"

logger = logging.getLogger("vramgate.probe")


def start() -> Probe | None:
    """Start the probe of this process; None where it cannot be, which the log explains.

    ComfyUI works the same without it, so nothing here may stop ComfyUI.
    """
    try:
        return _started()
    except Exception as error:
        logger.error("vramgate probe: not started, ComfyUI goes on without it: %r", error)
        return None


def _started() -> Probe | None:
    execution = importlib.import_module("execution")
    server = importlib.import_module("server").PromptServer.instance
    management = importlib.import_module("comfy.model_management")
    torch = importlib.import_module("torch")
    if hasattr(getattr(execution, "execute", None), MARK):
        logger.warning("vramgate probe: another copy of the pack is at work; this one does nothing")
        return None
    device = management.get_torch_device()
    classes = importlib.import_module("nodes").NODE_CLASS_MAPPINGS
    probe = Probe(_settings(), Meter(device, torch), server, secrets.token_hex(8), classes)
    hold_execution(probe.hooks, execution, probe.watch)
    hold_models(probe.hooks, management, probe.watch, probe.writer.put)
    _hold(probe, "comfy.sd", lambda sd: hold_vae(probe.hooks, sd, probe.watch, device))
    probe.start()
    if probe.settings.token is None:
        _alone(probe, torch)
    else:
        _controlled(probe, torch, execution, server, management)
    if probe.hooks.missing:
        logger.warning("vramgate probe: not in this ComfyUI: %s", ", ".join(probe.hooks.missing))
    return probe


def _hold(probe: Probe, name: str, hold: Callable[[Any], None]) -> None:
    """Take hold of a module of ComfyUI's that may not be there, or not like this."""
    try:
        hold(importlib.import_module(name))
    except Exception as error:
        logger.warning("vramgate probe: cannot hook into %s: %r", name, error)
        probe.hooks.missing.append(name)


def _settings() -> Settings:
    try:
        return from_environment(os.environ)
    except BadSettings as error:
        logger.error("vramgate probe: %s; it works alone", error)
        return Settings()


def _alone(probe: Probe, torch: Any) -> None:
    folder_paths = importlib.import_module("folder_paths")
    about = {
        "comfyui": comfyui_version(),
        "torch": str(torch.__version__),
        "python": sys.version.split()[0],
        "device": probe.meter.kind,
        "hooks": probe.hooks.present,
        "missing": probe.hooks.missing,
    }
    perf = PerfJson(Path(folder_paths.get_output_directory()), about)
    probe.writer.listeners.append(perf.heard)
    # nobody will ask for them
    probe.writer.listeners.append(lambda record: probe.ring.acknowledge(record["seq"]))


def _controlled(probe: Probe, torch: Any, execution: Any, server: Any, management: Any) -> None:
    """Let the agent act: limits, releases, figures."""
    card = Card(probe.meter.device, torch)
    limiter, releaser = Limiter(card, management), Releaser(card, management)
    turn = Turn(server.prompt_queue)
    memory = Memory(card, probe.meter, management, lambda: limiter.limit.size)
    turn.failed = probe.troubles.add
    probe.watch.limit = lambda: limiter.limit.size
    turn.hold(probe.hooks)
    limiter.hold(probe.hooks)
    releaser.hold(probe.hooks, execution)
    strangers = Strangers(card, management, limiter)
    strangers.failed = probe.troubles.add
    strangers.hold(probe.hooks)
    probe.watch.at_start.append(strangers.begin_prompt)
    _hold(probe, "comfy.sd", lambda sd: hold_loaders(probe.hooks, sd, model_folders))
    control = Control(card, limiter, memory, releaser, turn, torch)
    versions = {
        "version": VERSION,
        "comfyui": comfyui_version(),
        "torch": str(torch.__version__),
    }
    Routes(probe, control, execution, versions).add(server)


def model_folders() -> list[str]:
    """The folders that ComfyUI looks for models in."""
    known = importlib.import_module("folder_paths").folder_names_and_paths
    return [path for paths, _ in list(known.values()) for path in paths]


def comfyui_version() -> str:
    """The version that ComfyUI says it has; empty where it says none."""
    try:
        return str(importlib.import_module("comfyui_version").__version__)
    except (ImportError, AttributeError):  # before 2024-12
        return ""
