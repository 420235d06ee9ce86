"""What people may call a kind of workflow: its model, sampler and size.

A fingerprint is the same for workflows of the same models, samplers, size class and nodes, so any
job of it names it. No text of a prompt is in a name.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from scheduler.workflow.features import Features, features
from scheduler.workflow.models import ADAPTER_FOLDERS, BASE_FOLDERS, folder_of
from scheduler.workflow.parse import read_graph
from scheduler.workflow.shapes import Shape, follow_shapes
from store.job_list import SqlJobs

#: Names that are kept; each takes a parsed graph to make.
_MOST: Final = 4000
#: Names that are made for one answer; the rest has its model's until it is asked for again.
_AT_ONCE: Final = 60
#: Larger bodies have pictures in them: they are not read for a name.
_LARGEST: Final = 2 * 2**20
_SUFFIXES: Final = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".gguf")
#: Classes that are named where there is neither model nor sampler.
_NAMED_CLASSES: Final = 2


class Names:
    """Makes names of the store's newest job of each kind, and keeps them."""

    def __init__(self, jobs: SqlJobs) -> None:
        self._jobs = jobs
        self._known: OrderedDict[str, str] = OrderedDict()

    async def of(self, fingerprints: Iterable[str]) -> dict[str, str]:
        """A name for each; "" for the workflow that nobody knows anything of."""
        wanted = set(fingerprints) - {""}
        new = sorted(wanted - self._known.keys())
        later: dict[str, str] = {}
        if new:
            told = await self._jobs.samples(new[:_AT_ONCE])
            for fingerprint, (prompt, model) in told.items():
                self._known[fingerprint] = name_of(prompt, model)
            if new[_AT_ONCE:]:
                models = await self._jobs.models(new[_AT_ONCE:])
                later = {kind: stem(model) for kind, model in models.items()}
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return {
            kind: self._known.get(kind) or later.get(kind) or unnamed(kind) for kind in wanted
        } | {"": ""}


def unnamed(fingerprint: str) -> str:
    """What is said of a kind without a name."""
    return f"workflow {fingerprint[:8]}"


def name_of(prompt: bytes | None, model: str) -> str:
    """Of a job's body and main model; "": neither says anything."""
    graph = _graph(prompt)
    if not graph:
        return stem(model)
    try:
        found, shape = features(graph), _largest(graph)
    except (RecursionError, ValueError, TypeError):  # a graph that ComfyUI refused
        return stem(model)
    return _name(found, shape, model)


def _graph(prompt: bytes | None) -> dict[str, Any]:
    if not prompt or len(prompt) > _LARGEST:
        return {}
    try:
        found = msgspec.json.decode(prompt)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return {}
    graph = found.get("prompt") if isinstance(found, dict) else None
    return graph if isinstance(graph, dict) else {}


def _largest(graph: dict[str, Any]) -> Shape | None:
    shapes = follow_shapes(read_graph(graph), {})
    known = [shape for shape in shapes.values() if shape is not None]
    return max(known, key=lambda shape: shape.pixels, default=None)


def _name(found: Features, shape: Shape | None, model: str) -> str:
    bases = [one for one in found.models if folder_of(one) in BASE_FOLDERS]
    adapters = [one for one in found.models if folder_of(one) in ADAPTER_FOLDERS]
    parts = [stem(one) for one in bases[:2]] or ([stem(model)] if model else [])
    if found.sampler:
        parts.append(found.sampler)
    if shape is not None:
        parts.append(_size(shape))
    if adapters:
        parts.append(f"+{len(adapters)} adapter{'s' if len(adapters) > 1 else ''}")
    if not bases and not found.sampler:
        parts += _classes(sorted(found.node_classes))
    return " · ".join(parts)


def _size(shape: Shape) -> str:
    times = f" ×{shape.images}" if shape.images > 1 else ""
    frames = f", {shape.frames} frames" if shape.frames > 1 else ""
    return f"{shape.width}×{shape.height}{times}{frames}"


def _classes(classes: Sequence[str]) -> list[str]:
    more = len(classes) - _NAMED_CLASSES
    return [*classes[:_NAMED_CLASSES], *([f"{more} more"] if more > 0 else [])]


def stem(model: str) -> str:
    """A model's file name without folder and ending."""
    name = model.rpartition("/")[2].rpartition("\\")[2]
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name
