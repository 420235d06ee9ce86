"""A probe in a stand-in of ComfyUI, and what it told."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest

from tests.comfy_stand_in.memory import Cuda
from tests.comfy_stand_in.modules import Comfy, comfy
from tests.comfy_stand_in.values import VERSIONS, Tensor, Version
from worker_agent.probe.hooks import hold_execution
from worker_agent.probe.meter import Meter
from worker_agent.probe.models import hold_models, hold_vae
from worker_agent.probe.probe import Probe
from worker_agent.probe.settings import Settings

each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda one: one.name)
DEVICE = types.SimpleNamespace(type="cuda")


class Bench:
    """A probe in a stand-in of ComfyUI."""

    def __init__(self, version: Version, **classes: Callable[..., Any]) -> None:
        self.card = Cuda()
        self.comfy: Comfy = comfy(version, classes)
        meter = Meter(DEVICE, types.SimpleNamespace(cuda=self.card))
        self.probe = Probe(
            Settings(token="t"), meter, None, "boot", self.comfy.nodes.NODE_CLASS_MAPPINGS
        )
        hold_execution(self.probe.hooks, self.comfy.execution, self.probe.watch)
        put = self.probe.writer.put
        hold_models(self.probe.hooks, self.comfy.management, self.probe.watch, put)
        hold_vae(self.probe.hooks, self.comfy.sd, self.probe.watch, DEVICE)
        self.executor = self.comfy.executor()

    def run(self, prompt: dict[str, Any], prompt_id: str = "p") -> list[dict[str, Any]]:
        """The records that a prompt makes."""
        before = self.probe.ring.last
        self.executor.execute(prompt, prompt_id, {}, list(prompt))
        self.probe.writer.drain()
        return self.probe.ring.after(before, 1000)


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def of(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in records if one["kind"] == kind]


def make(**_: Any) -> list[Any]:
    return [[Tensor(1, 8, 8, 3)]]
