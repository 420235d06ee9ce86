"""Shapes, types and sizes of what nodes hand on, found without keeping any of it.

``describe`` runs at each node, so it is written to be quick: one dictionary look-up tells what a value
is, and of a tensor three attributes are read. What is made of them is the writer's work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

#: how deep lists and dicts are followed: a latent in a list of a dict of a pack's own is four deep
_DEPTH = 5
#: values looked at in one output: a batch of a thousand frames as a list is still counted whole, and
#: a million points in lists of lists do not hold up the prompt
_MOST = 2048

_PLAIN, _TENSOR, _OLD_TENSOR, _OTHER = range(4)

#: what values of a class are
_kinds: dict[type, int] = {str: _PLAIN, int: _PLAIN, float: _PLAIN, bool: _PLAIN}
#: classes remembered: packs may make classes as they run
_CLASSES = 4096


class Outputs(NamedTuple):
    """All outputs of a node.

    Attributes:
        slots: of each output: a tuple (shape, dtype) for a tensor, a list of those for several, a
            plain value itself, or None.
        size: bytes of all tensors.
    """

    slots: Sequence[Any]
    size: int


NOTHING = Outputs((), 0)


def describe(outputs: Any) -> Outputs:
    """What a node's outputs are, as ComfyUI's cache has them: a list of values for each slot.

    Tensors themselves are let go: holding one here would keep its memory.
    """
    slots: list[Any] = []
    size = 0
    for values in outputs:
        if values.__class__ is list and len(values) == 1:
            value = values[0]
            kind = _kinds.get(value.__class__)
            if kind is None:
                kind = _learn(value)
            if kind == _TENSOR:
                slots.append((value.shape, value.dtype))
                size += value.nbytes
                continue
            if kind == _PLAIN:
                slots.append(value)
                continue
        found: list[Any] = []
        _collect(values, found, _DEPTH, [_MOST])
        for one in found:
            size += one.numel() * one.element_size()
        slots.append([(one.shape, one.dtype) for one in found] or None)
    return Outputs(slots, size)


def held_bytes(outputs: Any, seen: set[int]) -> int:
    """Bytes of memory behind these outputs that is not in ``seen`` yet; adds it there."""
    found: list[Any] = []
    _collect(outputs, found, _DEPTH + 1, [_MOST])
    size = 0
    for tensor in found:
        place = tensor.data_ptr()
        if place not in seen:
            seen.add(place)
            size += int(tensor.numel() * tensor.element_size())
    return size


def _collect(value: Any, found: list[Any], depth: int, left: list[int]) -> None:
    """Append the tensors in ``value``; ``left`` holds how many values may still be looked at."""
    if isinstance(value, dict):
        value = list(value.values())
    elif not isinstance(value, (list, tuple)):
        kind = _kinds.get(value.__class__)
        if (_learn(value) if kind is None else kind) in (_TENSOR, _OLD_TENSOR):
            found.append(value)
        return
    if depth > 0:
        for item in value:
            if left[0] <= 0:
                return
            left[0] -= 1
            _collect(item, found, depth - 1, left)


def _learn(value: Any) -> int:
    """What values of this class are, told by what torch's tensors alone have."""
    kind = _OTHER
    if hasattr(type(value), "element_size"):
        kind = _TENSOR if hasattr(type(value), "nbytes") else _OLD_TENSOR
    if len(_kinds) >= _CLASSES:
        return kind
    _kinds[type(value)] = kind
    return kind
