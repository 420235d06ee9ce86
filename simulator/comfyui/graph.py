"""In which order the nodes of a prompt run, and what makes two nodes the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Prompt = Mapping[str, Mapping[str, Any]]


class GraphCycle(Exception):
    """The links of the prompt lead back to where they started."""

    type_name = "comfy_execution.graph.DependencyCycleError"


def is_link(value: Any) -> bool:
    """Whether an input value is ``[node id, socket]``."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int | float)
    )


def sources(prompt: Prompt, node_id: str) -> list[str]:
    """The nodes that feed a node, in input order."""
    values = prompt[node_id].get("inputs", {}).values()
    return [value[0] for value in values if is_link(value) and value[0] in prompt]


class Signatures:
    """Keys of nodes: equal keys mean the same class, inputs and history.

    Args:
        prompt: The graph.
        salt: Per node what else tells its results apart (file content, node id).
    """

    def __init__(self, prompt: Prompt, salt: Callable[[str], str]) -> None:
        self._prompt = prompt
        self._salt = salt
        self._keys: dict[str, str] = {}

    def key(self, node_id: str) -> str:
        """The key of one node.

        Raises:
            GraphCycle: It depends on itself.
        """
        # A stack of our own: a chain of nodes may be longer than Python's.
        stack, open_nodes = [node_id], set[str]()
        while stack:
            current = stack[-1]
            if current in self._keys:
                stack.pop()
                continue
            missing = [s for s in sources(self._prompt, current) if s not in self._keys]
            if not missing:
                self._keys[current] = self._digest(current)
                open_nodes.discard(current)
                stack.pop()
                continue
            open_nodes.add(current)
            if not open_nodes.isdisjoint(missing):
                raise GraphCycle(f"node {current} depends on itself; remove one of its links")
            stack.extend(missing)
        return self._keys[node_id]

    def _digest(self, node_id: str) -> str:
        node = self._prompt[node_id]
        inputs = {
            name: [self._keys[value[0]], value[1]]
            if is_link(value) and value[0] in self._keys
            else ["=", value]
            for name, value in node.get("inputs", {}).items()
        }
        parts = [node["class_type"], self._salt(node_id), inputs]
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Agenda:
    """The nodes still to run.

    What clients see depends on the order, so it is ComfyUI's: among the nodes whose
    inputs are there, an output first, then what leads to an output in one step, then
    in two, then whichever was met first when walking back from the outputs.

    Args:
        prompt: The graph.
        is_cached: Whether a node's outputs are there already.
        is_output: Whether a node is an output node.
    """

    def __init__(
        self, prompt: Prompt, is_cached: Callable[[str], bool], is_output: Callable[[str], bool]
    ) -> None:
        self._prompt = prompt
        self._is_cached = is_cached
        self._is_output = is_output
        #: node → the nodes it still waits for, in the order they were met
        self._waits_for: dict[str, set[str]] = {}
        #: node → the nodes that wait for it
        self._feeds: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._waits_for)

    def add(self, node_id: str) -> None:
        """Plan a node and all that it needs."""
        stack = [node_id]
        while stack:
            current = stack.pop()
            if current in self._waits_for:
                continue
            needed = [s for s in sources(self._prompt, current) if not self._is_cached(s)]
            self._waits_for[current] = set(needed)
            self._feeds.setdefault(current, [])
            for source in dict.fromkeys(needed):
                self._feeds.setdefault(source, []).append(current)
            stack.extend(needed)

    def take(self) -> str:
        """The next node; it counts as run.

        Raises:
            GraphCycle: Every node that is left waits for another.
        """
        ready = [node for node, needed in self._waits_for.items() if not needed]
        if not ready:
            raise GraphCycle("the nodes that are left wait for one another; remove a link")
        chosen = self._preferred(ready)
        del self._waits_for[chosen]
        for follower in self._feeds.pop(chosen):
            self._waits_for[follower].discard(chosen)
        return chosen

    def _preferred(self, ready: list[str]) -> str:
        for steps in range(3):
            for node in ready:
                if any(map(self._is_output, self._reached(node, steps))):
                    return node
        return ready[0]

    def _reached(self, node: str, steps: int) -> Iterable[str]:
        reached = [node]
        for _ in range(steps):
            reached = [follower for each in reached for follower in self._feeds[each]]
        return reached
