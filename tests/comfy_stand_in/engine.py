"""Runs a graph as ComfyUI does: nodes one after the other, a node called again after it waited."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.comfy_stand_in.values import (
    DynamicPrompt,
    ExecutionResult,
    Expand,
    InterruptProcessingException,
)


class Engine:
    """Runs nodes."""

    def __init__(self, made: Any) -> None:
        self.made = made

    def node(
        self, dynprompt: Any, caches: Any, node: str, executed: set[str], grown: Any, tasks: Any
    ) -> Any:
        """One call of one node."""
        self.made.calls.append(node)
        kept = caches.outputs.kept
        if node in kept:
            return (ExecutionResult.SUCCESS, None, None)
        posted = dynprompt.get_node(node)
        try:
            if node in tasks:
                outputs = tasks.pop(node).result()
            elif node in grown:
                source, slot = grown.pop(node)
                outputs = [kept[source][slot]]
            else:
                outputs = self._run(posted, kept)
            if isinstance(outputs, str):
                return (ExecutionResult.PENDING, None, None)
            if isinstance(outputs, Expand):
                for child, inner in outputs.graph.items():
                    dynprompt.nodes[child] = inner
                    dynprompt.display[child] = dynprompt.get_display_node_id(node)
                grown[node] = outputs.link
                return (ExecutionResult.PENDING, None, None)
            if hasattr(outputs, "__await__"):
                tasks[node] = asyncio.ensure_future(outputs)
                return (ExecutionResult.PENDING, None, None)
        except Exception as error:
            return (ExecutionResult.FAILURE, {"node_id": node}, error)
        kept[node] = outputs
        executed.add(node)
        return (ExecutionResult.SUCCESS, None, None)

    def _run(self, posted: Any, kept: Any) -> Any:
        inputs = {}
        for name, value in posted["inputs"].items():
            linked = isinstance(value, list)
            inputs[name] = kept.get(value[0], [None])[value[1]] if linked else value
        return self.made.nodes.NODE_CLASS_MAPPINGS[posted["class_type"]].run(**inputs)

    async def prompt(self, executor: Any, prompt: Any, prompt_id: str) -> None:
        """A whole prompt, in the newer versions."""
        state = Walk(self.made, executor, prompt, prompt_id)
        while state.order:
            await state.ready()
            result = await self.made.execution.execute(*state.arguments())
            state.step(result)
            await asyncio.sleep(0)
        state.end()

    def prompt_now(self, executor: Any, prompt: Any, prompt_id: str) -> None:
        """A whole prompt, in the older versions."""
        state = Walk(self.made, executor, prompt, prompt_id)
        while state.order:
            state.step(self.made.execution.execute(*state.arguments()))
        state.end()


class Walk:
    """Where one prompt is. Nodes run in the order they are posted in."""

    def __init__(self, made: Any, executor: Any, prompt: Any, prompt_id: str) -> None:
        self.made, self.executor, self.prompt_id = made, executor, prompt_id
        self.dynprompt = DynamicPrompt(prompt)
        outputs = executor.caches.outputs
        outputs.dynprompt = self.dynprompt
        cached = [node for node in prompt if node in outputs.kept]
        executor.success = True
        executor.status_messages = [("execution_cached", {"nodes": cached})]
        self.order = list(prompt)
        self.executed: set[str] = set()
        self.grown: dict[str, Any] = {}
        self.tasks: dict[str, Any] = {}
        self.waits: dict[str, int] = {}

    def arguments(self) -> tuple[Any, ...]:
        """What `execute` is called with."""
        every = (
            self.executor.server,
            self.dynprompt,
            self.executor.caches,
            self.order[0],
            {},
            self.executed,
            self.prompt_id,
            None,
            self.grown,
            self.tasks,
            {},
            None,
        )
        return every[: self.made.version.arguments]

    async def ready(self) -> None:
        """Put a node first whose task, if it has one, is done."""
        while True:
            for node in self.order:
                if node not in self.tasks or self.tasks[node].done():
                    self.order.remove(node)
                    self.order.insert(0, node)
                    return
            await asyncio.sleep(0.001)

    def step(self, told: Any) -> None:
        """What comes after a call."""
        result, _, error = told
        node = self.order.pop(0)
        if result is ExecutionResult.PENDING:
            children = [
                one
                for one in self.dynprompt.nodes
                if self.dynprompt.display.get(one) == self.dynprompt.get_display_node_id(node)
                and one not in self.executed
                and one not in self.order
                and one != node
            ]
            self.order = [*children, *self.order]
            self.order.insert(len(children) + (0 if node in self.grown else 1), node)
        elif result is ExecutionResult.FAILURE:
            kind = "interrupted" if isinstance(error, InterruptProcessingException) else "error"
            self.executor.status_messages.append(("execution_" + kind, {}))
            self.executor.success = False
            self.order.clear()

    def end(self) -> None:
        """The prompt's last message."""
        if self.executor.success:
            self.executor.status_messages.append(("execution_success", {}))
