"""The worker's log as ``/internal/logs`` shows it."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Any

from simulator.comfyui.websocket import Hub

_KEPT_ENTRIES = 300


class Logs:
    """Recent lines, and the clients that get new ones."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._subscribers: set[str] = set()
        self.entries: deque[dict[str, str]] = deque(maxlen=_KEPT_ENTRIES)

    def write(self, text: str) -> None:
        """Add a line."""
        entry = {"t": datetime.now().isoformat(), "m": f"{text}\n"}
        self.entries.append(entry)
        self._subscribers = set(filter(self._hub.is_connected, self._subscribers))
        for sid in self._subscribers:
            self._hub.send("logs", {"entries": [entry], "size": None}, sid)

    def subscribe(self, sid: str, wanted: bool) -> None:
        """Send new lines to a client, or stop doing so."""
        if wanted:
            self._subscribers.add(sid)
        else:
            self._subscribers.discard(sid)

    def text(self) -> str:
        """All kept lines."""
        return "".join(f"{entry['t']} - {entry['m']}" for entry in self.entries)

    def raw(self) -> dict[str, Any]:
        """All kept lines, and the size of a terminal that is not there."""
        return {"entries": list(self.entries), "size": {"cols": 80, "rows": 24}}
