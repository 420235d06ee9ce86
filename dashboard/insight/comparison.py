"""Two jobs side by side, node by node: where one lost time, and what was different (pure)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.api.job_shapes import ChangedInput, ComparedNode, ComparedPart, NodeBar

Inputs = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two."""

    bars: Sequence[NodeBar]
    #: node → what it was given, as stored
    inputs: Inputs
    wait_seconds: float
    #: from the worker's first word of it to its last
    run_seconds: float


def nodes(a: Side, b: Side) -> list[ComparedNode]:
    """All nodes, what lost most seconds first."""
    rows = [_row(left, right, a, b) for left, right in _pairs(a.bars, b.bars)]
    return sorted(rows, key=lambda row: (-row["lost_seconds"], row["node_a"] or "~"))


def parts(a: Side, b: Side) -> list[ComparedPart]:
    """What the two jobs' times consist of; loading is no part of the nodes' time here."""
    loading = [_sum(side, "load_seconds") for side in (a, b)]
    working = [_sum(side, "seconds") - load for side, load in zip((a, b), loading, strict=True)]
    between = [
        max(0.0, side.run_seconds - load - work)
        for side, load, work in zip((a, b), loading, working, strict=True)
    ]
    return [
        _part("waiting", a.wait_seconds, b.wait_seconds),
        _part("loading", *loading),
        _part("nodes", *working),
        _part("between", *between),
    ]


def _part(what: Any, a: float, b: float) -> ComparedPart:
    return {"what": what, "seconds_a": a, "seconds_b": b, "lost_seconds": a - b}


def _sum(side: Side, what: str) -> float:
    return float(sum(bar[what] for bar in side.bars))  # type: ignore[literal-required]


def _pairs(
    a: Sequence[NodeBar], b: Sequence[NodeBar]
) -> Iterator[tuple[NodeBar | None, NodeBar | None]]:
    """The same node of the same class first; what is left, by class in the order it ran."""
    others = {(bar["node"], bar["class_type"]): bar for bar in b}
    alone: list[NodeBar] = []
    for bar in a:
        other = others.pop((bar["node"], bar["class_type"]), None)
        if other is None:
            alone.append(bar)
        else:
            yield bar, other
    by_class: dict[str, list[NodeBar]] = defaultdict(list)
    for bar in others.values():
        by_class[bar["class_type"]].append(bar)
    for bar in alone:
        left = by_class[bar["class_type"]]
        yield bar, (left.pop(0) if left else None)
    for rest in by_class.values():
        for bar in rest:
            yield None, bar


def _row(left: NodeBar | None, right: NodeBar | None, a: Side, b: Side) -> ComparedNode:
    known = left or right
    assert known is not None  # noqa: S101 - a pair has at least one
    return {
        "class_type": known["class_type"],
        "node_a": left["node"] if left else None,
        "node_b": right["node"] if right else None,
        "state_a": left["state"] if left else None,
        "state_b": right["state"] if right else None,
        "seconds_a": left["seconds"] if left else None,
        "seconds_b": right["seconds"] if right else None,
        "load_a": left["load_seconds"] if left else 0.0,
        "load_b": right["load_seconds"] if right else 0.0,
        "peak_a": left["peak_bytes"] if left else None,
        "peak_b": right["peak_bytes"] if right else None,
        "fallback_a": left["fallback"] if left else "",
        "fallback_b": right["fallback"] if right else "",
        "lost_seconds": (left["seconds"] if left else 0.0) - (right["seconds"] if right else 0.0),
        "changed": _changed(left, right, a.inputs, b.inputs),
    }


def _changed(
    left: NodeBar | None, right: NodeBar | None, a: Inputs, b: Inputs
) -> list[ChangedInput]:
    if left is None or right is None:
        return []
    given, other = a.get(left["node"]), b.get(right["node"])
    # not told: nothing can be said
    if given is None or other is None or given == other:
        return []
    return [
        {"name": name, "a": given.get(name), "b": other.get(name)}
        for name in sorted({*given, *other})
        if given.get(name) != other.get(name)
    ]
