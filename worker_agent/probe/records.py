"""From what was noted to what is told: one JSON object per node, prompt, model, sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from .meter import Reading
from .monitor import CLASS, label_of
from .redact import DROPPED, Redactor
from .runs import NodeRun, PromptRun

#: classes named in a prompt's record
_RETAINED = 10
#: inputs, or outputs, described in a node's record
_NAMES = 64
#: tensors described of one input or output
_TENSORS = 8

#: names of a class's outputs, by class
Names = Callable[[str], Sequence[str]]

Record = dict[str, Any]


def node_record(run: NodeRun, prompt: PromptRun, names: Names, redactor: Redactor) -> Record:
    """What a node did, over all its calls."""
    record: Record = {
        "kind": "node",
        "at": run.ended,
        "prompt": prompt.prompt,
        "node": run.node,
        "class": run.class_type,
        "started": run.started,
        "seconds": round(run.seconds, 6),
        "calls": run.calls,
        "cached": run.cached,
        "result": run.result,
        "inputs": _inputs(run, prompt, redactor),
    }
    if run.before is not None and run.after is not None:
        record["allocated"] = [run.before.allocated, run.after.allocated]
        record["peak"] = max(run.peak, run.before.allocated)
    if run.outputs is not None:
        record["out_bytes"] = run.outputs.size
        record["outputs"] = _outputs(run, names(run.class_type), redactor)
    for name in ("display", "error", "fallback", "capture"):
        value = getattr(run, name)
        if value is not None:
            record[name] = value
    if run.class_type == CLASS:
        record["marker"] = label_of(run.inputs)
    return record


def prompt_record(run: PromptRun) -> Record:
    """What a prompt did, all its nodes together."""
    record: Record = {
        "kind": "prompt",
        "at": run.ended,
        "prompt": run.prompt,
        "started": run.started,
        "seconds": round(run.seconds, 6),
        "result": run.result,
        "nodes": run.done,
        "cached": run.cached,
        "limit": run.limit,
        "loads": run.loads,
        "load_seconds": round(run.load_seconds, 6),
        "overlap": run.overlap,
        "retained": dict(sorted(run.retained.items(), key=_most_first)[:_RETAINED]),
    }
    if run.peaks is not None:
        record["peak_allocated"], record["peak_reserved"] = run.peaks
    if run.before is not None and run.after is not None:
        record["allocated"] = [run.before.allocated, run.after.allocated]
        record["reserved"] = [run.before.reserved, run.after.reserved]
    return record


def sample_record(
    prompt: str | None, reading: Reading, device_free: int | None, limit: int | None
) -> Record:
    """What the process held at one moment of a prompt."""
    return {
        "kind": "sample",
        "at": time.time(),
        "prompt": prompt,
        "allocated": reading.allocated,
        "reserved": reading.reserved,
        "device_free": device_free,
        "limit": limit,
    }


def gap_record(lost: int) -> Record:
    """So many notes were not taken, because too many waited."""
    return {"kind": "gap", "at": time.time(), "lost": lost}


def _most_first(item: tuple[str, int]) -> int:
    return -item[1]


def _inputs(run: NodeRun, prompt: PromptRun, redactor: Redactor) -> Record:
    told: Record = {}
    for name, value in list(run.inputs.items())[:_NAMES]:
        if value.__class__ is list:
            shown = _slot(name, _source(value, prompt), redactor)
        else:
            shown = redactor.value(name, value)
        if shown is not DROPPED:
            told[name] = shown
    return told


def _source(link: list[Any], prompt: PromptRun) -> Any:
    if len(link) != 2 or link[0].__class__ is not str or link[1].__class__ is not int:
        return None
    found = prompt.found.get(link[0])
    if found is None or not 0 <= link[1] < len(found.slots):
        return None
    return found.slots[link[1]]


def _outputs(run: NodeRun, names: Sequence[str], redactor: Redactor) -> Record:
    told: Record = {}
    outputs = run.outputs
    for index, slot in enumerate(outputs.slots[:_NAMES] if outputs is not None else ()):
        name = names[index] if index < len(names) else str(index)
        if name in told:
            name = f"{name}_{index}"
        shown = _slot(name, slot, redactor)
        if shown is not DROPPED:
            told[name] = shown
    return told


def _slot(name: str, slot: Any, redactor: Redactor) -> Any:
    """One of ``Outputs.slots`` as JSON."""
    if slot is None:
        return DROPPED
    if isinstance(slot, list):
        shown = [_tensor(*one) for one in slot[:_TENSORS]]
        return shown[0] if len(shown) == 1 else shown
    return _tensor(*slot) if isinstance(slot, tuple) else redactor.value(name, slot)


def _tensor(shape: Sequence[int], dtype: Any) -> Record:
    return {"shape": list(shape), "dtype": str(dtype).replace("torch.", "")}
