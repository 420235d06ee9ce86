"""What a stand-in of ComfyUI hands around: versions, tensors, caches, graphs."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from typing import Any


class ExecutionResult(enum.Enum):
    SUCCESS = 0
    FAILURE = 1
    PENDING = 2


class InterruptProcessingException(Exception):
    pass


@dataclass(frozen=True)
class Version:
    """What one version of ComfyUI is like."""

    name: str
    asynchronous: bool
    arguments: int
    cache: str = "plain"  # plain | awaitable | local
    partial_loads: bool = True


VERSIONS = (
    Version("2024-08", False, 9, partial_loads=False),
    Version("0.3.44", False, 9),
    Version("0.3.64", True, 10),
    Version("after 0.3.64", True, 11, cache="awaitable"),
    Version("newest", True, 12, cache="local"),
)


class Tensor:
    """As much of a tensor as the probe looks at."""

    def __init__(self, *shape: int, dtype: str = "torch.float32", width: int = 4) -> None:
        self.shape = shape
        self.dtype = dtype
        self.ndim = len(shape)
        self._width = width

    def numel(self) -> int:
        count = 1
        for side in self.shape:
            count *= side
        return count

    def element_size(self) -> int:
        return self._width

    def data_ptr(self) -> int:
        return id(self)


@dataclass
class Expand:
    """A node's answer: nodes to run in its place, and the link that is its output then."""

    graph: dict[str, Any]
    link: list[Any]


@dataclass
class Entry:
    outputs: list[Any]
    ui: Any = None


class Cache:
    """Outputs by node. ``kind`` says how this version gives them."""

    def __init__(self, kind: str, dynprompt: DynamicPrompt | None = None) -> None:
        self.kind = kind
        self.kept: dict[str, list[Any]] = {}
        self.dynprompt = dynprompt
        if kind == "local":
            self.get_local = self._entry

    def _entry(self, node: str) -> Any:
        kept = self.kept.get(node)
        return None if kept is None else Entry(kept)

    def get(self, node: str) -> Any:
        if self.kind == "plain":
            return self.kept.get(node)
        return self._later(node)

    async def _later(self, node: str) -> Any:
        if self.kind == "local":  # asks elsewhere too: nobody but ComfyUI should wait for that
            await asyncio.sleep(0)
        return self._entry(node)

    def all_node_ids(self) -> set[str]:
        return set(self.kept)


class DynamicPrompt:
    """The graph with the nodes that it grew."""

    def __init__(self, prompt: dict[str, Any]) -> None:
        self.nodes = dict(prompt)
        self.display: dict[str, str] = {}

    def get_node(self, node: str) -> Any:
        return self.nodes[node]

    def get_display_node_id(self, node: str) -> str:
        return self.display.get(node, node)
