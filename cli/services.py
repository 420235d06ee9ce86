"""The children of `vramgate up`: their commands, environments and the order of their end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from cli.supervise import Service
from config.environment import PREFIX
from config.loading import Option

#: The gateway stops accepting first, the queue's server (not listed) goes last. Seconds that
#: each may take; with the server's they stay below the ten that a stop may take in all.
STOP_ORDER: Final = {
    "gateway": 2.0,
    "agent": 3.5,
    "scheduler": 0.8,
    "recorder": 1.0,
    "jobs": 0.7,
}

#: names the folder in which prometheus-client keeps the counts of several processes together
METRICS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"


def role_command(role: str, config: Path | None, data_dir: Path, *more: str) -> list[str]:
    """How a role of ours is started; -P: a folder named `config` in sight must not be ours."""
    command = [sys.executable, "-P", "-m", "cli.main", role, "--data-dir", str(data_dir)]
    if config is not None:
        command += ["--config", str(config.absolute())]
    return [*command, *more]


def gateway_names(count: int) -> list[str]:
    """The gateways' services: ``gateway``, or ``gateway-1`` and so on where there are several."""
    return ["gateway"] if count == 1 else [f"gateway-{n}" for n in range(1, count + 1)]


def role_service(
    role: str,
    command: list[str],
    environ: Mapping[str, str],
    pass_fds: tuple[int, ...] = (),
    name: str | None = None,
) -> Service:
    """One child of ours; ``name`` where several have the role."""
    return Service(
        name=name or role,
        command=command,
        environ=environ,
        stop_within_s=STOP_ORDER[role],
        pass_fds=pass_fds,
    )


def child_environ(options: Iterable[Option]) -> dict[str, str]:
    """Our own environment, plus what our options say, as variables that children read."""
    added = {variable(option.path): _text(option.value) for option in options}
    return {
        **os.environ,
        **added,
        # for our book of logs, which turns it back into lines for people
        f"{PREFIX}LOG__FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
    }


def variable(path: str) -> str:
    """``gateway.port`` → ``VRAMGATE_GATEWAY__PORT``."""
    return PREFIX + path.upper().replace(".", "__")


def _text(value: Any) -> str:
    if value is None:
        return "null"
    return json.dumps(value) if isinstance(value, (list, tuple, dict)) else str(value)
