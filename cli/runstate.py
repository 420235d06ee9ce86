"""``run/up.json`` in the data folder: how other commands find the running instance."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

_FILE: Final = "up.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What runs here. URLs of servers may hold a password: the file is its owner's alone."""

    pid: int
    gateway: str
    dashboard: str
    redis: str
    store: str
    #: what computes, as a sentence
    runs_on: str
    #: seconds since the epoch
    started: float
    #: service → {"pid": …, "restarts": …}
    services: dict[str, dict[str, int]] = field(default_factory=dict)


def run_dir(data_dir: Path) -> Path:
    """Where lock and state of a running instance lie."""
    return data_dir / "run"


def write_state(data_dir: Path, state: RunState) -> None:
    """Replace the file in one step."""
    target = run_dir(data_dir) / _FILE
    fresh = target.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(state), file, indent=1)
    fresh.replace(target)


def read_state(data_dir: Path) -> RunState | None:
    """The instance running on this data folder, or None where none does."""
    try:
        fields: dict[str, Any] = json.loads((run_dir(data_dir) / _FILE).read_text())
        state = RunState(**fields)
    except (OSError, ValueError, TypeError):  # none, or of another version
        return None
    return state if _is_alive(state.pid) else None


def remove_state(data_dir: Path) -> None:
    """Nothing runs here any more."""
    (run_dir(data_dir) / _FILE).unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
