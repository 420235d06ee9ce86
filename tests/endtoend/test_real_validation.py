"""Broken graphs to a real ComfyUI and to our own validation: the same verdict, in the same words.

Opt-in: COMFYUI_URL names one of version 0.3.64. Graphs are made from a seed (VALIDATION_SEED,
VALIDATION_GRAPHS for others); what a valid one starts is taken out of the queue at once.
"""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from scheduler.workflow.validation import Validation, validate

COMFYUI = os.environ.get("COMFYUI_URL", "")
SEED = int(os.environ.get("VALIDATION_SEED", "1"))
GRAPHS = int(os.environ.get("VALIDATION_GRAPHS", "400"))
pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.skipif(not COMFYUI, reason="COMFYUI_URL names no real ComfyUI"),
]
Graph = dict[str, Any]
#: values that clients send in place of good ones
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 3, 2**31, 2**70, -0.5, 1.5, 1e300, "", "5", "1.5", "wide", "True",
    "a.safetensors", "euler", "EULER", [], {}, [1, 2, 3], ["1"], ["1", 0], ["nobody", 0], ["1", 9],
    ["1", -1], ["1", "0"], ["1", 0.0], ["1", None], [1, 0], [None, None], {"a": 1}, {"__value__": 5},
    {"__value__": "wide"}, {"__value__": ["1", 0]}, {"__value__": []},
]  # fmt: skip


def base() -> Graph:
    """Three outputs over nodes of many kinds of input.

    No schema-based one with a combo: 0.3.64 does not check those, newer servers and we do.
    """
    return {
        "1": node("EmptyImage", width=64, height=64, batch_size=1, color=0),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("ImageScale", image=["2", 0], upscale_method="bilinear", width=32, height=32,
                  crop="disabled"),
        "4": node("ImageBatch", image1=["1", 0], image2=["13", 0]),
        "5": node("SolidMask", value=1.0, width=64, height=64),
        "6": node("MaskToImage", mask=["5", 0]),
        "7": node("JoinImageWithAlpha", image=["3", 0], alpha=["5", 0]),
        "8": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "9": node("PreviewImage", images=["4", 0]),
        "10": node("SaveImage", images=["7", 0], filename_prefix="x"),
        "11": node("PreviewImage", images=["6", 0]),
        "13": node("ImageScaleBy", image=["2", 0], upscale_method="area", scale_by=0.5),
        "12": node("LatentUpscale", samples=["8", 0], upscale_method="bilinear", width=64,
                   height=64, crop="disabled"),
    }  # fmt: skip


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def _inputs(graph: Graph, rng: random.Random) -> dict[str, Any] | None:
    fitting = [one["inputs"] for one in graph.values() if isinstance(one, dict)
               and isinstance(one.get("inputs"), dict) and one["inputs"]]  # fmt: skip
    return rng.choice(fitting) if fitting else None


def put_something_odd(graph: Graph, rng: random.Random) -> None:
    inputs = _inputs(graph, rng)
    if inputs:
        inputs[rng.choice(list(inputs))] = copy.deepcopy(rng.choice(ODD))


def link_elsewhere(graph: Graph, rng: random.Random) -> None:
    inputs = _inputs(graph, rng)
    if inputs:
        inputs[rng.choice(list(inputs))] = [rng.choice(list(graph)), rng.choice([0, 0, 0, 1, 2])]


def leave_an_input_out(graph: Graph, rng: random.Random) -> None:
    inputs = _inputs(graph, rng)
    if inputs:
        del inputs[rng.choice(list(inputs))]


def add_an_input(graph: Graph, rng: random.Random) -> None:
    inputs = _inputs(graph, rng)
    if inputs is not None:
        inputs[rng.choice(["extra", "image", "mask", "prompt"])] = copy.deepcopy(rng.choice(ODD))


def leave_a_node_out(graph: Graph, rng: random.Random) -> None:
    graph.pop(rng.choice(list(graph)), None)


def another_class(graph: Graph, rng: random.Random) -> None:
    name = rng.choice(["KSampler", "VAEDecode", "ImageInvert", "PreviewImage", "CheckpointLoaderSimple",
                       "CLIPTextEncode", "ImageBatch", "MaskComposite", "LoraLoader"])  # fmt: skip
    found = graph.get(rng.choice(list(graph)))
    if isinstance(found, dict):
        found["class_type"] = name


def no_such_class(graph: Graph, rng: random.Random) -> None:
    found = graph.get(rng.choice(list(graph)))
    if isinstance(found, dict):
        found["class_type"] = rng.choice(["Nope", ""])


def no_class(graph: Graph, rng: random.Random) -> None:
    found = graph.get(rng.choice(list(graph)))
    if isinstance(found, dict):
        found.pop("class_type", None)


CHANGES: list[tuple[int, Callable[[Graph, random.Random], None]]] = [
    (8, put_something_odd),
    (5, link_elsewhere),
    (4, leave_an_input_out),
    (2, add_an_input),
    (2, leave_a_node_out),
    (3, another_class),
    (1, no_such_class),
    (1, no_class),
]


def broken(rng: random.Random) -> Graph:
    graph = base()
    for change in rng.choices(
        [one for _, one in CHANGES], [weight for weight, _ in CHANGES], k=rng.randint(1, 5)
    ):
        if graph:
            change(graph, rng)
    return graph


@pytest.fixture
async def real() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(COMFYUI) as session:
        yield session


def as_compared(status: int, error: Any, node_errors: Any) -> Any:
    """Without what differs from one start of ComfyUI to the next: the order of inputs and outputs.

    That order decides which outputs are listed under which node, and, where reading a malformed
    node raises, which reasons were found before. Also without tracebacks, which we never show.
    """
    found = (node_errors or {}).values()
    reasons = [one for node in found for one in node["errors"]]
    outputs = sorted({name for node in found for name in node["dependent_outputs"]})
    if any(str(one["type"]).startswith("exception_during") for one in reasons):
        return {"status": status, "error": error and error["type"], "outputs": outputs}
    if error is not None:
        error = {**error, "details": sorted(str(error["details"]).split("\n"))}
    nodes = {
        node_id: {
            "class_type": node["class_type"],
            "errors": sorted(json.dumps(_plain(one), sort_keys=True) for one in node["errors"]),
        }
        for node_id, node in (node_errors or {}).items()
    }
    return {"status": status, "error": error, "outputs": outputs, "nodes": nodes}


def _plain(reason: dict[str, Any]) -> dict[str, Any]:
    extra = {k: v for k, v in reason["extra_info"].items() if k != "traceback"}
    return {**reason, "extra_info": extra}


def has_cycle(graph: Graph) -> bool:
    """ComfyUI 0.3.64 recurses until Python stops it; we say so, as newer ones do."""
    links = {
        name: [str(value[0]) for value in found["inputs"].values()
               if isinstance(value, list) and len(value) == 2]
        for name, found in graph.items()
        if isinstance(found, dict) and isinstance(found.get("inputs"), dict)
    }  # fmt: skip
    while links:
        free = [name for name, of in links.items() if not any(one in links for one in of)]
        if not free:
            return True
        for name in free:
            del links[name]
    return False


def stops_comfyui(ours: Validation) -> bool:
    found = [one for node in ours.node_errors.values() for one in node["errors"]]
    return any(one["message"].endswith("is not in the prompt") for one in found)


@pytest.mark.parametrize("number", range(GRAPHS))
async def test_a_broken_graph_gets_the_same_verdict(
    real: aiohttp.ClientSession, number: int
) -> None:
    graph = broken(random.Random(f"{SEED}/{number}"))
    if has_cycle(graph):
        pytest.skip("a cycle: told on purpose in other words")
    info = await _object_info(real)
    ours = validate(graph, info)
    if stops_comfyui(ours):
        pytest.skip("a link that 0.3.64 does not look at, and then stops working for good")
    async with real.post("/prompt", json={"prompt": graph}) as answer:
        status = answer.status
        said = json.loads(await answer.read()) if status != 500 else {}
    for path, body in (("/queue", {"clear": True}), ("/interrupt", {})):
        async with real.post(path, json=body):
            pass
    if status == 500:
        assert not ours.ok, "what crashes ComfyUI is refused"
        return
    mine = as_compared(200 if ours.ok else 400, ours.error, ours.node_errors)
    assert mine == as_compared(status, said.get("error"), said.get("node_errors")), graph


_known: dict[str, Any] = {}


async def _object_info(real: aiohttp.ClientSession) -> dict[str, Any]:
    if not _known:
        async with real.get("/object_info") as answer:
            _known.update(await answer.json())
    return _known
