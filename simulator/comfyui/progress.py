"""What clients are told while a prompt runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from simulator.comfyui.node import Interrupted, Preview
from simulator.comfyui.websocket import Hub


class Interrupt:
    """The one flag that asks the running prompt to stop; global, as in ComfyUI."""

    def __init__(self) -> None:
        self.wanted = False

    def check(self) -> None:
        """Stop here if somebody asked for it.

        Raises:
            Interrupted: Somebody did; the flag is down again.
        """
        if self.wanted:
            self.wanted = False
            raise Interrupted


class Progress:
    """The frames of one prompt, in the order of the recordings."""

    def __init__(self, hub: Hub, prompt_id: str, interrupt: Interrupt) -> None:
        self.hub = hub
        self.prompt_id = prompt_id
        self.interrupt = interrupt
        self.messages: list[tuple[str, Any]] = []
        self._nodes: dict[str, dict[str, Any]] = {}

    def message(self, event: str, data: Mapping[str, Any], *, everybody: bool = False) -> None:
        """Tell and remember what the history keeps too.

        Without a client nobody is told, except of an interrupt, which all are.
        """
        stamped = {**data, "timestamp": int(time.time() * 1000)}
        self.messages.append((event, stamped))
        if self.hub.client_id is not None or everybody:
            self.hub.send(event, stamped, self.hub.client_id)

    def start(self, node_id: str) -> None:
        """A node begins."""
        self._state(node_id, "running", 0.0, 1.0)
        self.hub.running_node = node_id
        if self.hub.client_id is not None:
            data = {"node": node_id, "display_node": node_id, "prompt_id": self.prompt_id}
            self.hub.send("executing", data, self.hub.client_id)

    def update(self, node_id: str, value: int, maximum: int, preview: Preview | None) -> None:
        """A node got somewhere.

        Raises:
            Interrupted: The prompt is to stop.
        """
        self.interrupt.check()
        hub, sid = self.hub, self.hub.client_id
        self._state(node_id, "running", value, maximum)
        modern = hub.wants_metadata(sid)
        if preview and modern:
            hub.send_preview_with_metadata(preview, self._place(node_id), sid)
        data = {"value": value, "max": maximum, "prompt_id": self.prompt_id, "node": node_id}
        hub.send("progress", data, sid)
        if preview and not modern:
            hub.send_preview(preview, sid)

    def executed(self, node_id: str, output: Mapping[str, Any] | None) -> None:
        """A node showed something."""
        if self.hub.client_id is not None:
            data = {
                "node": node_id,
                "display_node": node_id,
                "output": output,
                "prompt_id": self.prompt_id,
            }
            self.hub.send("executed", data, self.hub.client_id)

    def finish(self, node_id: str) -> None:
        """A node is done."""
        maximum = self._nodes[node_id]["max"] if node_id in self._nodes else 1
        self._state(node_id, "finished", maximum, maximum)

    def _state(self, node_id: str, state: str, value: float, maximum: float) -> None:
        entry = {"value": value, "max": maximum, "state": state}
        self._nodes[node_id] = entry | self._place(node_id)
        data = {"prompt_id": self.prompt_id, "nodes": self._nodes}
        self.hub.send("progress_state", data, self.hub.client_id)

    def _place(self, node_id: str) -> dict[str, Any]:
        return {
            "node_id": node_id,
            "prompt_id": self.prompt_id,
            "display_node_id": node_id,
            "parent_node_id": None,
            "real_node_id": node_id,
        }


class NodeReport:
    """:class:`simulator.comfyui.node.Reporter` for one node."""

    def __init__(self, progress: Progress, node_id: str) -> None:
        self._progress = progress
        self._node_id = node_id

    def progress(self, value: int, maximum: int, preview: Preview | None = None) -> None:
        """Tell how far the node is."""
        self._progress.update(self._node_id, value, maximum, preview)

    def text(self, text: str, *, everybody: bool = False) -> None:
        """Show a text on the node."""
        hub = self._progress.hub
        hub.send_text(self._node_id, text, None if everybody else hub.client_id)
