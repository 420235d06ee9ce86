"""Throw-away nodes of the protocol recordings; offered only to tests."""

from __future__ import annotations

from typing import Any

from simulator.comfyui.node import Inputs, NodeContext, NodeResult, Registry
from simulator.comfyui.values import Blocker

NODES = Registry()

#: LabSleep tells its progress so often.
_TICK_S = 0.1


def _definition(inputs: dict[str, Any], outputs: list[str], *, output_node: bool) -> dict[str, Any]:
    return {
        "input": {"required": inputs},
        "output": outputs,
        "output_is_list": [False] * len(outputs),
        "output_name": outputs,
        "category": "lab",
        "output_node": output_node,
        "python_module": "custom_nodes.lab",
    }


_NUMBER = ["INT", {"default": 0, "min": 0, "max": 2**31}]
_TEXT = ["STRING", {"default": ""}]
_SECONDS = ["FLOAT", {"default": 1.0, "min": 0.0, "max": 600.0, "step": 0.1}]

LAB_DEFINITIONS: dict[str, dict[str, Any]] = {
    "LabSleep": _definition({"seconds": _SECONDS, "n": _NUMBER}, ["INT"], output_node=False),
    "LabSink": _definition({"a": ["*", {}]}, [], output_node=True),
    "LabFail": _definition({"message": _TEXT, "n": _NUMBER}, ["INT"], output_node=False),
    "LabBlock": _definition({"message": _TEXT}, ["INT"], output_node=False),
}


@NODES.node("LabSleep")
async def _sleep(context: NodeContext, inputs: Inputs) -> NodeResult:
    ticks = max(1, round(inputs["seconds"] / _TICK_S))
    for tick in range(1, ticks + 1):
        await context.device.wait(inputs["seconds"] / ticks)
        context.report.progress(tick, ticks)
    context.report.text(f"slept {inputs['seconds']}")
    return NodeResult((inputs["n"],))


@NODES.node("LabSink")
async def _sink(context: NodeContext, inputs: Inputs) -> NodeResult:
    return NodeResult((), {"text": [str(inputs["a"])]})


@NODES.node("LabFail")
async def _fail(context: NodeContext, inputs: Inputs) -> NodeResult:
    raise ValueError(inputs["message"])


@NODES.node("LabBlock")
async def _block(context: NodeContext, inputs: Inputs) -> NodeResult:
    return NodeResult((Blocker(inputs["message"]),))
