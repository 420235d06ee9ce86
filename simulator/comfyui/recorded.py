"""What a simulated worker's probe records of its prompts and nodes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from simulator.comfyui.catalog import ModelFile
from simulator.comfyui.device import Device
from simulator.comfyui.graph import is_link
from simulator.comfyui.values import Latent
from worker_agent.probe.redact import DROPPED, Redactor
from worker_agent.probe.ring import Ring
from worker_agent.probe.settings import Settings


@dataclass(slots=True)
class NodeRun:
    """One node that runs."""

    node: str
    class_type: str
    inputs: Mapping[str, Any]
    started: float
    began: float
    allocated: int


@dataclass(slots=True)
class _PromptRun:
    prompt: str
    started: float
    began: float
    before: tuple[int, int]
    node: str = ""
    nodes: int = 0
    cached: int = 0
    loads: int = 0
    load_seconds: float = 0.0
    retained: dict[str, int] = field(default_factory=dict)


class Recorder:
    """Called by the executor and the device; puts records into the ring at once.

    Attributes:
        device: whose memory is read; set when the worker has started.
    """

    def __init__(self, ring: Ring, settings: Settings) -> None:
        self.ring = ring
        self.device: Device | None = None
        self._prompt: _PromptRun | None = None
        self.change(settings)

    @property
    def is_over(self) -> bool:
        """No prompt runs, or the one that does is on its last lines."""
        return self._prompt is None

    def change(self, settings: Settings) -> None:
        """From now on, these settings."""
        self.settings = settings
        self._redactor = Redactor(settings.redact, settings.token)

    # ── prompts ──────────────────────────────────────────────────────────────

    def begin(self, prompt: str) -> None:
        """A prompt starts."""
        device = self._device
        device.begin_prompt(self.moved)
        before = (device.allocated_bytes, device.reserved_bytes)
        self._prompt = _PromptRun(prompt, time.time(), time.perf_counter(), before)

    def found(self, cached: int) -> None:
        """So many of its nodes need not run."""
        if self._prompt is not None:
            self._prompt.cached = cached

    def end(self, result: str) -> None:
        """It ended: ``success``, ``error`` or ``interrupted``."""
        run, device = self._prompt, self._device
        self._prompt = None
        if run is None:
            return
        self._add(
            "prompt",
            prompt=run.prompt,
            started=run.started,
            seconds=round(time.perf_counter() - run.began, 6),
            result=result,
            nodes=run.nodes,
            cached=run.cached,
            limit=device.limit.size,
            loads=run.loads,
            load_seconds=round(run.load_seconds, 6),
            overlap=False,
            retained=dict(sorted(run.retained.items(), key=lambda row: -row[1])[:10]),
            peak_allocated=device.peak_allocated,
            peak_reserved=device.peak_reserved,
            allocated=[run.before[0], device.allocated_bytes],
            reserved=[run.before[1], device.reserved_bytes],
        )

    def sample(self) -> None:
        """What is held now, while a prompt runs."""
        if self._prompt is None or not self.settings.memory:
            return
        device = self._device
        self._add(
            "sample",
            allocated=device.allocated_bytes,
            reserved=device.reserved_bytes,
            device_free=None if device.gpu is None else device.gpu.read().free_bytes,
            limit=device.limit.size,
        )

    def moved(self, what: str, file: ModelFile, loaded_bytes: int, seconds: float) -> None:
        """A model came to the device, or left it."""
        run = self._prompt
        if run is None:
            return
        if what == "load":
            run.loads += 1
            run.load_seconds += seconds
        self._add(
            "model",
            prompt=run.prompt,
            node=run.node,
            what=what,
            model=file.name,
            bytes=file.size_bytes,
            loaded_bytes=loaded_bytes,
            seconds=round(seconds, 6),
        )

    # ── nodes ────────────────────────────────────────────────────────────────

    def begin_node(self, node: str, class_type: str, inputs: Mapping[str, Any]) -> NodeRun:
        """A node starts."""
        self._device.begin_node()
        if self._prompt is not None:
            self._prompt.node = node
        now = time.perf_counter()
        return NodeRun(node, class_type, inputs, time.time(), now, self._device.allocated_bytes)

    def end_node(
        self,
        run: NodeRun,
        outputs: Mapping[str, Any],
        *,
        cached: bool = False,
        error: Exception | None = None,
    ) -> None:
        """It ended, with outputs by name or with an error."""
        prompt, device = self._prompt, self._device
        if prompt is None or not self.settings.hooks:
            return
        prompt.nodes += 1
        shapes = {name: shape for name, value in outputs.items() if (shape := _shape(value))}
        size = sum(_bytes(value) for value in outputs.values())
        prompt.retained[run.class_type] = prompt.retained.get(run.class_type, 0) + size
        more: dict[str, Any] = {"error": type(error).__name__} if error is not None else {}
        if device.fallback:
            more["fallback"] = device.fallback
        self._add(
            "node",
            prompt=prompt.prompt,
            node=run.node,
            started=run.started,
            seconds=round(time.perf_counter() - run.began, 6),
            calls=1,
            cached=cached,
            result="success" if error is None else "failure",
            allocated=[run.allocated, device.allocated_bytes],
            peak=max(device.node_peak, run.allocated),
            out_bytes=size,
            inputs=self._told(run.inputs),
            outputs=shapes,
            **{"class": run.class_type},
            **more,
        )

    def _told(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        plain = {name: value for name, value in inputs.items() if not is_link(value)}
        told = {name: self._redactor.value(name, value) for name, value in plain.items()}
        return {name: value for name, value in told.items() if value is not DROPPED}

    @property
    def _device(self) -> Device:
        assert self.device is not None  # noqa: S101  prompts run after the start
        return self.device

    def _add(self, kind: str, **fields: Any) -> None:
        self.ring.add({"kind": kind, "at": time.time(), **fields})


def _shape(value: Any) -> dict[str, Any] | None:
    """Of a picture or a latent, as torch has them."""
    if isinstance(value, Latent):
        shape = [value.batch, 4, value.height // 8, value.width // 8]
        return {"shape": shape, "dtype": "float32"}
    if isinstance(value, list) and value and isinstance(value[0], Image.Image):
        return {"shape": [len(value), value[0].height, value[0].width, 3], "dtype": "float32"}
    return None


def _bytes(value: Any) -> int:
    shape = _shape(value)
    if shape is None:
        return 0
    size = 4
    for part in shape["shape"]:
        size *= part
    return size
