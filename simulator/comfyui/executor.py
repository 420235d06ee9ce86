"""Runs one prompt: order, cache, errors."""

from __future__ import annotations

import asyncio
import itertools
import random
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from simulator.comfyui.catalog import Catalog
from simulator.comfyui.device import Device, DeviceOutOfMemory
from simulator.comfyui.folders import Folders
from simulator.comfyui.graph import Agenda, GraphCycle, Signatures, is_link
from simulator.comfyui.node import Interrupted, Node, NodeContext, NodeResult
from simulator.comfyui.nodes_model import run_by_types
from simulator.comfyui.object_info import ObjectInfo
from simulator.comfyui.progress import Interrupt, NodeReport, Progress
from simulator.comfyui.prompt_queue import Item, Outcome
from simulator.comfyui.values import Blocker
from simulator.comfyui.watched import Unwatched, Watch
from simulator.comfyui.websocket import Hub

_BY_TYPES = Node(run_by_types)


@dataclass(frozen=True, slots=True)
class _Cached:
    """What a node gave, kept while prompts go on using it.

    Attributes:
        outputs: Its output values.
        ui: What it showed, and the meta entry of that; None if it showed nothing.
    """

    outputs: tuple[Any, ...]
    ui: tuple[Mapping[str, Any], Mapping[str, Any]] | None


class Executor:
    """Runs prompts one after the other; keeps the results of the last one's nodes."""

    def __init__(
        self,
        nodes: Mapping[str, Node],
        object_info: ObjectInfo,
        folders: Folders,
        catalog: Catalog,
        device: Device,
        hub: Hub,
        rng: random.Random,
    ) -> None:
        self._nodes = nodes
        self._object_info = object_info
        self._folders = folders
        self._catalog = catalog
        self._device = device
        self._hub = hub
        self._rng = rng
        self._cache: dict[str, _Cached] = {}
        self._unique = itertools.count()
        self.interrupt = Interrupt()
        #: a probe's, where there is one
        self.watch: Watch = Unwatched()

    def forget(self) -> None:
        """Drop the results of all nodes."""
        self._cache.clear()

    async def run(self, item: Item) -> Outcome:
        """Run one prompt to its end; failures are outcomes, not exceptions."""
        self.interrupt.wanted = False
        self._hub.client_id = item.extra_data.get("client_id")
        progress = Progress(self._hub, item.prompt_id, self.interrupt)
        progress.message("execution_start", {"prompt_id": item.prompt_id})
        run = _Run(self, item, progress)
        self.watch.begin(item.prompt_id)
        try:
            succeeded = await run.all_nodes()
        except GraphCycle as error:
            succeeded = False
            run.tell_error(item.outputs[0], {}, error)
        finally:
            self._device.finish_node()
            self._device.rest()
            self._hub.running_node = None
        self.watch.end("success" if succeeded else run.ended)
        return Outcome(run.outputs, run.meta, succeeded, progress.messages)

    def salt(self, prompt: Mapping[str, Any], node_id: str) -> str:
        """What tells a node's results apart beyond its inputs."""
        class_type, inputs = prompt[node_id]["class_type"], prompt[node_id].get("inputs", {})
        own = node_id if "UNIQUE_ID" in self.hidden_inputs(class_type).values() else ""
        changed = self.node(class_type).changed
        if changed is None:
            return own
        try:
            return own + changed(self._folders, inputs)
        except (OSError, KeyError):
            # The node itself will say what is wrong with its inputs.
            return f"{own}unknown {next(self._unique)}"

    def node(self, class_type: str) -> Node:
        """How to run a class."""
        return self._nodes.get(class_type, _BY_TYPES)

    def is_output(self, class_type: str) -> bool:
        """Whether a class is an output node."""
        return bool(self._object_info.all()[class_type]["output_node"])

    def output_names(self, class_type: str) -> list[str]:
        """Names of a class's outputs."""
        definition = self._object_info.all()[class_type]
        return [str(name) for name in definition.get("output_name") or definition["output"]]

    def hidden_inputs(self, class_type: str) -> Mapping[str, str]:
        """What the server gives a node unasked: input name → kind."""
        hidden: Mapping[str, str] = self._object_info.all()[class_type]["input"].get("hidden", {})
        return hidden

    def keep_only(self, keys: set[str]) -> dict[str, _Cached]:
        """Drop what the next prompt has no use for; returns what is left."""
        for key in self._cache.keys() - keys:
            del self._cache[key]
        return self._cache

    def context(self, item: Item, node_id: str, key: str, progress: Progress) -> NodeContext:
        """What a node gets to work with."""
        class_type = item.prompt[node_id]["class_type"]
        return NodeContext(
            key=key,
            class_type=class_type,
            definition=self._object_info.all()[class_type],
            prompt=item.prompt,
            extra_pnginfo=item.extra_data.get("extra_pnginfo") or {},
            report=NodeReport(progress, node_id),
            device=self._device,
            folders=self._folders,
            catalog=self._catalog,
            rng=self._rng,
        )

    def node_done(self) -> None:
        """The tensors of a node are gone."""
        self._device.finish_node()

    def after_out_of_memory(self) -> None:
        """ComfyUI unloads everything, so that the next prompt has a chance."""
        self._device.finish_node()
        self._device.unload_models()
        self._device.release()


class _Run:
    """One prompt on its way."""

    def __init__(self, executor: Executor, item: Item, progress: Progress) -> None:
        self._executor = executor
        self._item = item
        self._prompt = item.prompt
        self._progress = progress
        self._keys = Signatures(item.prompt, lambda node: executor.salt(item.prompt, node))
        self._cache: dict[str, _Cached] = {}
        self._executed: list[str] = []
        #: how it ended where it did not succeed
        self.ended = "error"
        self.outputs: dict[str, Any] = {}
        self.meta: dict[str, Any] = {}

    async def all_nodes(self) -> bool:
        """Run what the outputs need; returns whether all of it succeeded."""
        keys = {node: self._keys.key(node) for node in self._prompt}
        self._cache = self._executor.keep_only(set(keys.values()))
        cached = [node for node in self._prompt if keys[node] in self._cache]
        start = {"nodes": cached, "prompt_id": self._item.prompt_id}
        self._progress.message("execution_cached", start)
        self._executor.watch.found(len(cached))
        agenda = Agenda(
            self._prompt,
            lambda node: keys[node] in self._cache,
            lambda node: self._executor.is_output(self._prompt[node]["class_type"]),
        )
        for output in self._item.outputs:
            agenda.add(output)
        while agenda:
            # ComfyUI executes in a thread: requests are answered between nodes, however short.
            await asyncio.sleep(0)
            node_id = agenda.take()
            if not await self._one_node(node_id, keys[node_id]):
                return False
        self._progress.message("execution_success", {"prompt_id": self._item.prompt_id})
        return True

    async def _one_node(self, node_id: str, key: str) -> bool:
        found = self._cache.get(key)
        watch, node = self._executor.watch, self._prompt[node_id]
        seen = watch.begin_node(node_id, node["class_type"], node.get("inputs", {}))
        if found is not None:
            watch.end_node(seen, {}, cached=True)
            self._progress.executed(node_id, found.ui[0] if found.ui else None)
            self._finish(node_id, found)
            return True
        self._progress.start(node_id)
        inputs: dict[str, Any] = {}
        try:
            self._executor.interrupt.check()
            inputs |= self._inputs(node_id)
            result = await self._result(node_id, key, inputs)
        except Interrupted as stop:
            self.ended = "interrupted"
            watch.end_node(seen, {}, error=stop)
            self._tell_interrupted(node_id)
            return False
        except Exception as error:  # a node may raise anything; the client is told
            watch.end_node(seen, {}, error=error)
            self.tell_error(node_id, inputs, error)
            return False
        finally:
            self._executor.node_done()
        names = self._executor.output_names(node["class_type"])
        watch.end_node(seen, dict(zip(names, result.outputs, strict=False)))
        self._finish(node_id, self._keep(node_id, key, result))
        return True

    async def _result(self, node_id: str, key: str, inputs: dict[str, Any]) -> NodeResult:
        context = self._executor.context(self._item, node_id, key, self._progress)
        blockers = [value for value in inputs.values() if isinstance(value, Blocker)]
        if not blockers:
            return await self._executor.node(context.class_type).run(context, inputs)
        if blockers[0].message is not None:
            self._tell_blocked(node_id, blockers[0].message)
        # Without its message a blocker goes on silently: one report is enough.
        return NodeResult((Blocker(None),) * len(context.definition["output"]))

    def _inputs(self, node_id: str) -> dict[str, Any]:
        given = self._prompt[node_id].get("inputs", {})
        return {
            name: self._cache[self._keys.key(value[0])].outputs[int(value[1])]
            if is_link(value) and value[0] in self._prompt
            else value
            for name, value in given.items()
        }

    def _hidden(self, node_id: str) -> dict[str, Any]:
        """The inputs that the server adds by itself; an error shows them too."""
        values: dict[str, Any] = {
            "PROMPT": self._prompt,
            "EXTRA_PNGINFO": self._item.extra_data.get("extra_pnginfo"),
            "UNIQUE_ID": node_id,
        }
        hidden = self._executor.hidden_inputs(self._prompt[node_id]["class_type"])
        return {name: str(values[kind]) for name, kind in hidden.items() if kind in values}

    def _keep(self, node_id: str, key: str, result: NodeResult) -> _Cached:
        ui = None
        if result.ui is not None:
            meta = {
                "node_id": node_id,
                "display_node": node_id,
                "parent_node": None,
                "real_node_id": node_id,
            }
            ui = (result.ui, meta)
            self._progress.executed(node_id, result.ui)
        kept = self._cache[key] = _Cached(result.outputs, ui)
        return kept

    def _finish(self, node_id: str, result: _Cached) -> None:
        if result.ui:
            self.outputs[node_id], self.meta[node_id] = result.ui
        self._executed.append(node_id)
        self._progress.finish(node_id)

    def _place(self, node_id: str) -> dict[str, Any]:
        return {
            "prompt_id": self._item.prompt_id,
            "node_id": node_id,
            "node_type": self._prompt[node_id]["class_type"],
            "executed": list(self._executed),
        }

    def _tell_interrupted(self, node_id: str) -> None:
        self._progress.message("execution_interrupted", self._place(node_id), everybody=True)

    def _tell_blocked(self, node_id: str, message: str) -> None:
        # Sent but not remembered: the history of a blocked prompt says success.
        if self._progress.hub.client_id is None:
            return
        data = self._place(node_id) | {
            "exception_message": f"Execution Blocked: {message}",
            "exception_type": "ExecutionBlocked",
            "traceback": [],
            "current_inputs": [],
            "current_outputs": [],
        }
        self._progress.hub.send("execution_error", data, self._progress.hub.client_id)

    def tell_error(self, node_id: str, inputs: dict[str, Any], error: Exception) -> None:
        """Tell which node failed, and how."""
        if isinstance(error, DeviceOutOfMemory):
            self._executor.after_out_of_memory()
        data = self._place(node_id) | {
            "exception_message": f"{error}\n",
            "exception_type": getattr(error, "type_name", type(error).__qualname__),
            "traceback": traceback.format_tb(error.__traceback__),
            "current_inputs": {
                name: [_shown(value)] for name, value in (inputs | self._hidden(node_id)).items()
            },
            "current_outputs": list(self._prompt),
        }
        self._progress.message("execution_error", data)


def _shown(value: Any) -> Any:
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, list) and value and isinstance(value[0], Image.Image):
        return f"tensor(shape=({len(value)}, {value[0].height}, {value[0].width}, 3))"
    return str(value)
