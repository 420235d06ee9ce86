"""Shapes, types and sizes of what nodes hand on, found without keeping any of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

#: how deep lists and dicts are followed: a latent in a list of a dict of a pack's own is four deep
_DEPTH = 5
#: values looked at in one output: a batch of a thousand frames as a list is still counted whole
_MOST = 2048


class Slot(NamedTuple):
    """One output: its tensors as (shape, dtype), and its value where it is a plain one."""

    tensors: Sequence[tuple[Sequence[int], Any]]
    plain: Any


class Outputs(NamedTuple):
    """All outputs of a node."""

    slots: list[Slot]
    size: int


NOTHING = Outputs([], 0)


def describe(outputs: Any) -> Outputs:
    """What a node's outputs are, as ComfyUI's cache has them: a list of values for each slot.

    Tensors themselves are let go: holding one here would keep its memory.
    """
    slots = []
    size = 0
    for values in outputs:
        found: list[Any] = []
        _collect(values, found, _DEPTH)
        tensors = [(tuple(one.shape), one.dtype) for one in found]
        for one in found:
            size += one.numel() * one.element_size()
        plain = None
        if not found and values.__class__ is list and len(values) == 1:
            value = values[0]
            if isinstance(value, (str, int, float)):
                plain = value
        slots.append(Slot(tensors, plain))
    return Outputs(slots, size)


def held_bytes(outputs: Any, seen: set[int]) -> int:
    """Bytes of memory behind these outputs that is not in ``seen`` yet; adds it there."""
    found: list[Any] = []
    _collect(outputs, found, _DEPTH + 1)
    size = 0
    for tensor in found:
        place = tensor.data_ptr()
        if place not in seen:
            seen.add(place)
            size += int(tensor.numel() * tensor.element_size())
    return size


def _collect(value: Any, found: list[Any], depth: int) -> None:
    if getattr(value, "element_size", None) is not None:
        found.append(value)
        return
    if depth == 0 or len(found) >= _MOST:
        return
    if isinstance(value, dict):
        value = list(value.values())
    elif not isinstance(value, (list, tuple)):
        return
    for item in value[:_MOST]:
        _collect(item, found, depth - 1)
