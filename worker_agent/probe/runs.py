"""What is noted of a prompt and of its nodes while they run. Plain and cheap; records come later."""

from __future__ import annotations

from typing import Any

from .meter import Reading
from .tensors import Outputs


class NodeRun:
    """One node of one prompt, over all its calls.

    A node is called again when a lazy input, a subgraph or an asynchronous task made it wait.
    """

    __slots__ = (
        "after",
        "asynchronous",
        "before",
        "began",
        "cached",
        "calls",
        "capture",
        "class_type",
        "display",
        "ended",
        "error",
        "fallback",
        "inputs",
        "node",
        "outputs",
        "peak",
        "result",
        "seconds",
        "started",
    )

    def __init__(self, node: str, started: float) -> None:
        """``started`` in seconds since the epoch."""
        self.node = node
        self.started = started
        self.began = 0.0
        self.ended = started
        self.seconds = 0.0
        self.calls = 0
        self.class_type = ""
        self.display: str | None = None
        self.before: Reading | None = None
        self.after: Reading | None = None
        self.peak = 0
        self.cached = False
        self.asynchronous = False
        self.result = "success"
        self.error: str | None = None
        self.inputs: dict[str, Any] = {}
        self.outputs: Outputs | None = None
        self.fallback: str | None = None
        self.capture: str | None = None


class PromptRun:
    """One prompt from its start to its end."""

    __slots__ = (
        "after",
        "before",
        "began",
        "cached",
        "classes",
        "done",
        "ended",
        "found",
        "limit",
        "load_seconds",
        "loads",
        "open",
        "overlap",
        "peaks",
        "prompt",
        "result",
        "retained",
        "seconds",
        "started",
        "waiting",
    )

    def __init__(self, prompt: str, started: float, began: float) -> None:
        """``started`` in seconds since the epoch, ``began`` on the clock that durations come from."""
        self.prompt = prompt
        self.started = started
        self.began = began
        self.ended = started
        self.seconds = 0.0
        self.result = "success"
        self.done = 0
        self.cached = 0
        self.before: Reading | None = None
        self.after: Reading | None = None
        self.peaks: tuple[int, int] | None = None
        self.limit: int | None = None
        self.loads = 0
        self.load_seconds = 0.0
        self.overlap = False
        self.retained: dict[str, int] = {}
        #: nodes that were called and have not ended
        self.open: dict[str, NodeRun] = {}
        #: of these, nodes whose asynchronous work runs between their calls
        self.waiting: set[str] = set()
        #: outputs seen in this prompt, by node
        self.found: dict[str, Outputs] = {}
        #: classes of the nodes that ran, by node
        self.classes: dict[str, str] = {}
