"""Whether a worker can walk through a prompt to its end. Pure.

ComfyUI validates the inputs that a class declares, but before it runs a prompt it follows every
link in it. One to a node that is not there, or a node whose inputs are no object, ends the only
thread that runs prompts: the worker goes on answering and never runs anything again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scheduler.workflow import reasons
from scheduler.workflow.reasons import Reason


@dataclass(frozen=True, slots=True)
class Faults:
    """What is in the way of some outputs."""

    #: node that holds the fault → what is wrong
    reasons: dict[str, list[Reason]] = field(default_factory=dict)
    #: nodes from which a fault is reached, themselves included
    tainted: frozenset[str] = frozenset()


def find_faults(prompt: Mapping[str, Any], outputs: Iterable[str]) -> Faults:
    """What a worker would run into on its way from these outputs, in time linear in the prompt."""
    consumers: dict[str, list[str]] = {}
    found: dict[str, list[Reason]] = {}
    todo = list(outputs)
    seen = set(todo)
    while todo:
        node_id = todo.pop()
        inputs = prompt[node_id].get("inputs")
        if not isinstance(inputs, dict):
            found[node_id] = [reasons.no_inputs(node_id)]
            continue
        for name, source in _links(inputs):
            if source not in prompt:
                found.setdefault(node_id, []).append(reasons.loose_link(name, inputs[name]))
                continue
            consumers.setdefault(source, []).append(node_id)
            if source not in seen:
                seen.add(source)
                todo.append(source)
    return Faults(found, _upwards(consumers, found))


def _links(inputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and source of all that ComfyUI takes for a link, declared or not."""
    for name, value in inputs.items():
        match value:
            case [str(source), int() | float()]:
                yield name, source


def _upwards(consumers: Mapping[str, list[str]], start: Iterable[str]) -> frozenset[str]:
    todo = list(start)
    seen = set(todo)
    while todo:
        for node_id in consumers.get(todo.pop(), ()):
            if node_id not in seen:
                seen.add(node_id)
                todo.append(node_id)
    return frozenset(seen)
