"""One simulated worker: everything that its routes share, and the loop that runs prompts."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Mapping
from typing import Any

import structlog

from scheduler.workflow.validation import Validation, validate
from simulator.comfyui import nodes_image, nodes_lab, nodes_model
from simulator.comfyui.device import Device
from simulator.comfyui.executor import Executor
from simulator.comfyui.folders import Folders
from simulator.comfyui.logs import Logs
from simulator.comfyui.model import FREE_DELAYS_S
from simulator.comfyui.node import Node
from simulator.comfyui.object_info import ObjectInfo
from simulator.comfyui.options import WorkerOptions
from simulator.comfyui.prompt_queue import Item, PromptQueue
from simulator.comfyui.websocket import Hub
from simulator.gpu import SimulatedGpu

_log = structlog.get_logger(__name__)

#: After so many ``execution_success`` the history of the real server was still empty
#: (4 of 150); how long for was not measured.
_HISTORY_LAG_SHARE = 0.027
_HISTORY_LAG_S = 0.005


class Worker:
    """A ComfyUI process as its routes see it.

    Attributes:
        number: Counts submissions; the default place of a prompt in the queue.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self.options = options
        self.folders = Folders(options.data_dir)
        self.device = Device(
            SimulatedGpu.open(options.gpu_dir) if options.gpu_dir else None, options.speed
        )
        self.object_info = ObjectInfo(options.catalog, self.folders, lab_nodes=options.lab_nodes)
        self.hub = Hub(self.queue_info)
        self.logs = Logs(self.hub)
        self.queue = PromptQueue(self._queue_changed)
        self._rng = random.Random(options.seed)
        self.executor = Executor(
            _nodes(options.lab_nodes),
            self.object_info,
            self.folders,
            options.catalog,
            self.device,
            self.hub,
            self._rng,
        )
        self.number = 0
        self._wake = asyncio.Event()
        self._free_wanted: dict[str, bool] = {}
        self._release: asyncio.Task[None] | None = None

    def queue_info(self) -> dict[str, Any]:
        """How many prompts wait or run."""
        return {"exec_info": {"queue_remaining": len(self.queue)}}

    def validate(self, prompt: Mapping[str, Any], targets: list[str] | None) -> Validation:
        """Check a prompt against what this worker offers."""
        definitions = self.object_info.all()
        return validate(prompt, definitions, exists=self.folders.exists, targets=targets)

    def submit(
        self,
        checked: Validation,
        number: float,
        prompt_id: str | None,
        extra_data: dict[str, Any],
    ) -> str:
        """Queue a valid prompt; returns its id."""
        prompt_id = prompt_id or str(uuid.uuid4())
        item = Item(number, prompt_id, checked.prompt, extra_data, checked.outputs)
        self.queue.put(item)
        self._wake.set()
        return prompt_id

    def interrupt(self, prompt_id: str | None) -> None:
        """Stop what runs; with an id only if that prompt runs.

        Without an id the flag goes up even when nothing runs; a prompt that starts
        takes it down.
        """
        running = self.queue.running
        if prompt_id is None or (running is not None and running.prompt_id == prompt_id):
            self.executor.interrupt.wanted = True

    def free(self, *, unload_models: bool, free_memory: bool) -> None:
        """Ask for memory back; looked at when no prompt runs."""
        if unload_models:
            self._free_wanted["unload_models"] = True
        if free_memory:
            self._free_wanted["free_memory"] = True
        self._wake.set()

    async def serve(self) -> None:
        """Run prompts until cancelled."""
        while True:
            while (item := self.queue.start()) is not None:
                await self._run(item)
                self._look_at_free()
            self._look_at_free()
            self._wake.clear()
            await self._wake.wait()

    async def close(self) -> None:
        """Leave the card, drop what is temporary."""
        if self._release:
            self._release.cancel()
        self.device.close()
        self.folders.wipe_temp()

    async def _run(self, item: Item) -> None:
        if self._release:
            # What a prompt takes again cannot be given back at the same time.
            self._release.cancel()
            self._release = None
        began = time.monotonic()
        outcome = await self.executor.run(item)
        if self._rng.random() < _HISTORY_LAG_SHARE:
            await asyncio.sleep(_HISTORY_LAG_S)
        self.queue.finish(item, outcome)
        if self.hub.client_id is not None:
            end = {"node": None, "prompt_id": item.prompt_id}
            self.hub.send("executing", end, self.hub.client_id)
        self.logs.write(f"Prompt executed in {time.monotonic() - began:.2f} seconds")
        _log.info("prompt ended", prompt_id=item.prompt_id, succeeded=outcome.succeeded)

    def _look_at_free(self) -> None:
        wanted, self._free_wanted = self._free_wanted, {}
        free_memory = wanted.get("free_memory", False)
        if wanted.get("unload_models", free_memory):
            self.device.unload_models()
        if free_memory:
            self.executor.forget()
        if wanted:
            self._release = asyncio.create_task(self._release_later())

    async def _release_later(self) -> None:
        # Weights are gone at once, but the card sees the memory only seconds later.
        await self.device.wait(self._rng.choice(FREE_DELAYS_S))
        self.device.release()

    def _queue_changed(self) -> None:
        self.hub.send_status()


def _nodes(lab_nodes: bool) -> dict[str, Node]:
    nodes = {**nodes_image.NODES, **nodes_model.NODES}
    return nodes | nodes_lab.NODES if lab_nodes else nodes
