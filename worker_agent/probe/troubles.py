"""What went wrong inside the probe: counted, and told once in a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

#: seconds between two tellings of the same trouble: a hook that fails at each node says so once
QUIET_S = 60.0


class Troubles:
    """Errors of the probe itself. None of them reaches a prompt.

    Attributes:
        count: errors since the process began.
    """

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        """``tell`` takes a record; it must not raise."""
        self.count = 0
        self._tell = tell
        self._told: dict[tuple[str, str], float] = {}

    def add(self, where: str, error: BaseException) -> None:
        """Count an error; its text stays here, as it may hold a value of a prompt."""
        self.count += 1
        name = type(error).__name__
        now = time.monotonic()
        if now - self._told.get((where, name), -QUIET_S) < QUIET_S:
            return
        self._told[where, name] = now
        self._tell(
            {
                "kind": "trouble",
                "at": time.time(),
                "where": where,
                "error": f"{name}: the probe went on without it",
            }
        )
