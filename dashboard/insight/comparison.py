"""Two jobs side by side, node by node: where one lost time, and what was different (pure)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.api.job_shapes import ChangedInput, ComparedNode, ComparedPart
from dashboard.insight.nodes import state
from store.timeline import NodeRun

Inputs = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two."""

    runs: Sequence[NodeRun]
    #: node → seconds in which models were loaded
    loads: Mapping[str, float]
    #: node → what it was given, as stored
    inputs: Inputs
    wait_seconds: float
    #: from the worker's first word of it to its last
    run_seconds: float

    def load_seconds(self, run: NodeRun) -> float:
        """How much of a node's time loading took."""
        return min(self.loads.get(run.node, 0.0), run.seconds)


def nodes(a: Side, b: Side) -> list[ComparedNode]:
    """All nodes, what lost most seconds first."""
    rows = [_row(left, right, a, b) for left, right in _pairs(a.runs, b.runs)]
    return sorted(rows, key=lambda row: (-row["lost_seconds"], row["node_a"] or "~"))


def parts(a: Side, b: Side) -> list[ComparedPart]:
    """What the two jobs' times consist of; loading is no part of the nodes' time here."""
    loading = [sum(map(side.load_seconds, side.runs)) for side in (a, b)]
    working = [
        sum(run.seconds for run in side.runs) - load
        for side, load in zip((a, b), loading, strict=True)
    ]
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


def _pairs(
    a: Sequence[NodeRun], b: Sequence[NodeRun]
) -> Iterator[tuple[NodeRun | None, NodeRun | None]]:
    """The same node of the same class first; what is left, by class in the order it ran."""
    others = {(run.node, run.class_type): run for run in b}
    alone: list[NodeRun] = []
    for run in a:
        other = others.pop((run.node, run.class_type), None)
        if other is None:
            alone.append(run)
        else:
            yield run, other
    by_class: dict[str, list[NodeRun]] = defaultdict(list)
    for run in others.values():
        by_class[run.class_type].append(run)
    for run in alone:
        left = by_class[run.class_type]
        yield run, (left.pop(0) if left else None)
    for rest in by_class.values():
        for run in rest:
            yield None, run


def _row(left: NodeRun | None, right: NodeRun | None, a: Side, b: Side) -> ComparedNode:
    known = left or right
    assert known is not None  # noqa: S101 - a pair has at least one
    return {
        "class_type": known.class_type,
        "node_a": left.node if left else None,
        "node_b": right.node if right else None,
        "state_a": state(left) if left else None,
        "state_b": state(right) if right else None,
        "seconds_a": left.seconds if left else None,
        "seconds_b": right.seconds if right else None,
        "load_a": a.load_seconds(left) if left else 0.0,
        "load_b": b.load_seconds(right) if right else 0.0,
        "peak_a": left.peak_bytes if left else None,
        "peak_b": right.peak_bytes if right else None,
        "fallback_a": (left.fallback or "") if left else "",
        "fallback_b": (right.fallback or "") if right else "",
        "lost_seconds": (left.seconds if left else 0.0) - (right.seconds if right else 0.0),
        "changed": _changed(left, right, a.inputs, b.inputs),
    }


def _changed(
    left: NodeRun | None, right: NodeRun | None, a: Inputs, b: Inputs
) -> list[ChangedInput]:
    if left is None or right is None:
        return []
    given, other = a.get(left.node), b.get(right.node)
    # not told: nothing can be said
    if given is None or other is None or given == other:
        return []
    return [
        {"name": name, "a": given.get(name), "b": other.get(name)}
        for name in sorted({*given, *other})
        if given.get(name) != other.get(name)
    ]
