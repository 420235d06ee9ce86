"""What admins ask of workers while the system runs: overrides in the ledger, by worker or agent.

``drain.<name>`` is ``true``: the worker (or all workers of the agent) of that name finishes
its job, takes no other, and stops. ``restart.<worker>`` holds ``"asked"`` until its agent has
started it anew, or ``"refused"`` where the agent did not start that worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_DRAIN: Final = "drain."
_RESTART: Final = "restart."
#: JSON texts, as overrides hold them
YES: Final = "true"
ASKED: Final = '"asked"'
REFUSED: Final = '"refused"'


def drain_path(name: str) -> str:
    """The override that drains a worker or an agent."""
    return _DRAIN + name


def restart_path(worker: str) -> str:
    """The override that asks for a worker's restart."""
    return _RESTART + worker


def drained(overrides: Mapping[str, str]) -> frozenset[str]:
    """Names of workers and agents that are to take nothing."""
    return frozenset(
        path.removeprefix(_DRAIN)
        for path, text in overrides.items()
        if path.startswith(_DRAIN) and text == YES
    )


def to_restart(overrides: Mapping[str, str]) -> frozenset[str]:
    """Workers that somebody asked to be started anew."""
    return frozenset(
        path.removeprefix(_RESTART)
        for path, text in overrides.items()
        if path.startswith(_RESTART) and text == ASKED
    )
