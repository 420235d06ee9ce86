"""Small stand-ins of ComfyUI's modules, with the signatures that its versions really have.

What differs between versions is the kind and the arguments of ``execute``, what the cache's ``get``
gives, and what a loaded model says of itself.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.comfy_stand_in.engine import Engine
from tests.comfy_stand_in.memory import management, sd
from tests.comfy_stand_in.values import Cache, ExecutionResult, Version


@dataclass
class Comfy:
    """One version's modules."""

    version: Version
    execution: Any
    management: Any
    sd: Any
    server: Any
    nodes: Any
    calls: list[str] = field(default_factory=list)

    def executor(self) -> Any:
        return self.execution.PromptExecutor(self.server)


Behaviour = Callable[..., Any]


def comfy(version: Version, classes: dict[str, Behaviour]) -> Comfy:
    """The modules of ``version``, with node classes that behave as given.

    A behaviour takes the node's inputs (links resolved) and gives a list of outputs, an ``Expand``,
    an awaitable of outputs, or the name of a lazy input that it wants first.
    """
    nodes = types.ModuleType("nodes")
    nodes.NODE_CLASS_MAPPINGS = {  # type: ignore[attr-defined]
        name: type(name, (), {"RETURN_TYPES": ("IMAGE",), "run": staticmethod(behaviour)})
        for name, behaviour in classes.items()
    }
    made = Comfy(version, types.ModuleType("execution"), management(version), sd(), None, nodes)
    _fill(made.execution, version, made)
    return made


def _fill(module: Any, version: Version, made: Comfy) -> None:
    engine = Engine(made)
    signature = {9: _nine, 10: _ten, 11: _eleven, 12: _twelve}[version.arguments]
    module.execute = signature(engine)
    module.ExecutionResult = ExecutionResult

    class PromptExecutor:
        def __init__(self, server: Any) -> None:
            self.server = server
            self.caches = types.SimpleNamespace(outputs=Cache(version.cache))
            self.success = True
            self.status_messages: list[tuple[str, Any]] = []

    if version.asynchronous:

        def execute(
            self: Any,
            prompt: Any,
            prompt_id: Any,
            extra_data: Any = None,
            execute_outputs: Any = (),
        ) -> None:
            asyncio.run(self.execute_async(prompt, prompt_id, extra_data, execute_outputs))

        async def execute_async(
            self: Any,
            prompt: Any,
            prompt_id: Any,
            extra_data: Any = None,
            execute_outputs: Any = (),
        ) -> None:
            await engine.prompt(self, prompt, prompt_id)

        PromptExecutor.execute = execute  # type: ignore[attr-defined]
        PromptExecutor.execute_async = execute_async  # type: ignore[attr-defined]
    else:

        def execute_now(
            self: Any,
            prompt: Any,
            prompt_id: Any,
            extra_data: Any = None,
            execute_outputs: Any = (),
        ) -> None:
            engine.prompt_now(self, prompt, prompt_id)

        PromptExecutor.execute = execute_now  # type: ignore[attr-defined]
    module.PromptExecutor = PromptExecutor


def _nine(engine: Engine) -> Any:
    def execute(
        server: Any,
        dynprompt: Any,
        caches: Any,
        current_item: Any,
        extra_data: Any,
        executed: Any,
        prompt_id: Any,
        execution_list: Any,
        pending_subgraph_results: Any,
    ) -> Any:
        return engine.node(dynprompt, caches, current_item, executed, pending_subgraph_results, {})

    return execute


def _ten(engine: Engine) -> Any:
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
        await asyncio.sleep(0)
        return engine.node(
            dynprompt,
            caches,
            current_item,
            executed,
            pending_subgraph_results,
            pending_async_nodes,
        )

    return execute


def _eleven(engine: Engine) -> Any:
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
        ui_outputs: Any,
    ) -> Any:
        await asyncio.sleep(0)
        return engine.node(
            dynprompt,
            caches,
            current_item,
            executed,
            pending_subgraph_results,
            pending_async_nodes,
        )

    return execute


def _twelve(engine: Engine) -> Any:
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
        ui_outputs: Any,
        asset_manager: Any,
    ) -> Any:
        await asyncio.sleep(0)
        return engine.node(
            dynprompt,
            caches,
            current_item,
            executed,
            pending_subgraph_results,
            pending_async_nodes,
        )

    return execute
