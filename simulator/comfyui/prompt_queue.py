"""The queue and the history of a worker."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_MAXIMUM_HISTORY = 10_000


@dataclass(frozen=True, slots=True)
class Item:
    """One accepted prompt.

    Attributes:
        number: Lower runs first.
        prompt_id: Not necessarily unique: clients may choose it.
        prompt: The graph with coerced values.
        extra_data: What came along, with the client's id.
        outputs: The output nodes to run.
    """

    number: float
    prompt_id: str
    prompt: dict[str, Any]
    extra_data: dict[str, Any]
    outputs: tuple[str, ...]

    def __lt__(self, other: Item) -> bool:
        return (self.number, self.prompt_id) < (other.number, other.prompt_id)

    def as_json(self) -> list[Any]:
        """As ``/queue`` and ``/history`` show it."""
        return [self.number, self.prompt_id, self.prompt, self.extra_data, list(self.outputs)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a prompt ended.

    Attributes:
        outputs: Output of each node that showed one.
        meta: Which node that was.
        succeeded: False after an error or an interrupt.
        messages: The terminal frames, as they were sent.
    """

    outputs: dict[str, Any]
    meta: dict[str, Any]
    succeeded: bool
    messages: list[tuple[str, Any]]


class PromptQueue:
    """Pending prompts as a heap, the running one, and what ran.

    Args:
        changed: Called whenever the number of waiting or running prompts may have changed.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._pending: list[Item] = []
        self.running: Item | None = None
        self.history: dict[str, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._pending) + (self.running is not None)

    def put(self, item: Item) -> None:
        """Accept a prompt."""
        heapq.heappush(self._pending, item)
        self._changed()

    def start(self) -> Item | None:
        """Take the next prompt; None when none waits."""
        if not self._pending:
            return None
        self.running = heapq.heappop(self._pending)
        self._changed()
        return self.running

    def finish(self, item: Item, outcome: Outcome) -> None:
        """Move the running prompt to the history."""
        self.running = None
        # An entry of the same id is overwritten in its old place, as in the real server.
        if len(self.history) > _MAXIMUM_HISTORY:
            self.history.pop(next(iter(self.history)))
        self.history[item.prompt_id] = {
            "prompt": item.as_json(),
            "outputs": outcome.outputs,
            "status": {
                "status_str": "success" if outcome.succeeded else "error",
                "completed": outcome.succeeded,
                "messages": [list(message) for message in outcome.messages],
            },
            "meta": outcome.meta,
        }
        self._changed()

    def show(self) -> dict[str, Any]:
        """``GET /queue``; what is pending comes in heap order."""
        return {
            "queue_running": [self.running.as_json()] if self.running else [],
            "queue_pending": [item.as_json() for item in self._pending],
        }

    def delete(self, prompt_id: str) -> None:
        """Forget the first pending prompt of this id, if there is one."""
        for item in self._pending:
            if item.prompt_id == prompt_id:
                self._pending.remove(item)
                heapq.heapify(self._pending)
                self._changed()
                return

    def clear(self) -> None:
        """Forget all pending prompts."""
        self._pending.clear()
        self._changed()

    def show_history(self, limit: int | None, offset: int) -> Mapping[str, Any]:
        """``GET /history``: oldest first; a negative offset means the newest ``limit``."""
        ids = list(self.history)
        if offset < 0:
            offset = max(0, len(ids) - limit) if limit is not None else 0
        last = None if limit is None else offset + max(limit, 1)
        return {prompt_id: self.history[prompt_id] for prompt_id in ids[offset:last]}
