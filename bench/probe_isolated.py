"""What the probe's hook adds to one node, with nothing else in the process. Prints JSON.

Runs under any Python that has this checkout on its path, so that ComfyUI's own, with its torch, can.
"""

from __future__ import annotations

import asyncio
import enum
import importlib
import json
import statistics
import sys
import time
import types
from typing import Any

from worker_agent.probe.hooks import hold_execution
from worker_agent.probe.meter import Meter
from worker_agent.probe.probe import Probe
from worker_agent.probe.settings import Settings

#: nodes of one round, and rounds; variants take turns, so that a slower moment hits them alike
_NODES = 400
_ROUNDS = 60


class Result(enum.Enum):
    """As ComfyUI's own."""

    SUCCESS = 0
    FAILURE = 1
    PENDING = 2


class Picture:
    """A tensor where there is no torch."""

    shape = (1, 8, 8, 3)
    dtype = "torch.float32"

    nbytes = 768

    def element_size(self) -> int:
        """Bytes of one."""
        return 4


class Graph:
    """A chain of nodes, each with one link and two values, as ComfyUI's ``DynamicPrompt``."""

    def __init__(self) -> None:
        self._nodes = {
            str(place): {
                "class_type": "Noop",
                "inputs": {"images": [str(place - 1), 0], "seed": place, "mode": "plain"},
            }
            for place in range(_NODES)
        }

    def get_node(self, node: str) -> Any:
        """As posted."""
        return self._nodes[node]

    def get_display_node_id(self, node: str) -> str:
        """None was expanded."""
        return node


async def execute(
    server: Any,
    dynprompt: Any,
    caches: Any,
    current_item: Any,
    extra_data: Any,
    executed: Any,
    prompt_id: Any,
    execution_list: Any,
    pending_subgraph_results: Any,
    pending_async_nodes: Any,
) -> Any:
    """As ComfyUI's, without its work."""
    executed.add(current_item)
    return (Result.SUCCESS, None, None)


class Bed:
    """A probe around ``execute``."""

    def __init__(self) -> None:
        try:
            torch = importlib.import_module("torch")
        except ImportError:
            torch = None
        cuda = torch is not None and torch.cuda.is_available()
        self.device = torch.device("cuda", 0) if cuda else types.SimpleNamespace(type="cpu")
        picture = torch.zeros(1, 8, 8, 3) if torch is not None else Picture()
        self.caches = types.SimpleNamespace(
            outputs={str(place): [[picture]] for place in range(_NODES)}
        )
        self.graph = Graph()
        self.module = types.SimpleNamespace(execute=execute)
        self.probe = Probe(Settings(token="t"), Meter(self.device, torch), None, "bench")
        hold_execution(self.probe.hooks, self.module, self.probe.watch)
        if cuda:  # counters have something to tell
            self._held = torch.zeros(1 << 20, device=self.device)

    async def round(self, call: Any) -> float:
        """Seconds of this thread's processor time per node: other work on the machine is not in it."""
        executed: set[str] = set()
        pending: dict[str, Any] = {}
        prompt = self.probe.watch.begin_prompt("p")
        began = time.thread_time()
        for place in range(_NODES):
            await call(
                None, self.graph, self.caches, str(place), {}, executed, "p", None, {}, pending
            )
        seconds = time.thread_time() - began
        self.probe.watch.end_prompt(prompt, None, None)
        self.probe.writer.drain()
        return seconds / _NODES

    async def measure(self) -> dict[str, Any]:
        """Median microseconds of each variant."""
        variants = {
            "bare": (execute, {"hooks": False}),
            "off": (self.module.execute, {"hooks": False}),
            "hooks": (self.module.execute, {"hooks": True, "memory": False}),
            "memory": (self.module.execute, {"hooks": True, "memory": True}),
        }
        seconds: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(_ROUNDS):
            for name, (call, settings) in variants.items():
                self.probe.change(settings)
                seconds[name].append(await self.round(call))
        micros = {name: statistics.median(some) * 1e6 for name, some in seconds.items()}
        return {
            "python": sys.version.split()[0],
            "device": self.device.type,
            "nodes": _NODES * _ROUNDS,
            **{name + "_us": round(value, 2) for name, value in micros.items()},
            "troubles": self.probe.troubles.count,
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(Bed().measure())))
