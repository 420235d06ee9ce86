"""A graph's nodes as a page draws them: what the probe told, and what only the graph says (pure)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from dashboard.api.job_shapes import Move, NodeBar
from store.timeline import NodeRun

#: A node that takes longer is marked, however usual that is.
LONG_SECONDS: Final = 5.0
#: A node that is late by less than this is not marked: nobody waits for it.
_LEAST_LATE_SECONDS: Final = 0.5
#: What ComfyUI raises where a prompt is interrupted (0.3.64: ``InterruptProcessingException``).
_INTERRUPTS: Final = ("InterruptProcessingException", "ProcessingInterrupted")
#: Nodes of a graph that are shown; larger ones are none that people drew.
_MOST_NODES: Final = 5000


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node as posted. ``title``: what its user calls it, "" where that is its class."""

    class_type: str
    title: str


def read_graph(body: bytes | None) -> dict[str, GraphNode]:
    """The nodes of a prompt's body, in the order posted; of one that is not kept, or none: nothing."""
    try:
        found = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return {}
    graph = found.get("prompt") if isinstance(found, dict) else None
    if not isinstance(graph, dict):
        return {}
    listed = list(graph.items())[:_MOST_NODES]
    return {node: _graph_node(entry) for node, entry in listed if isinstance(entry, dict)}


def _graph_node(entry: Mapping[str, Any]) -> GraphNode:
    class_type, meta = entry.get("class_type"), entry.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return GraphNode(
        class_type if isinstance(class_type, str) else "",
        title[:100] if isinstance(title, str) else "",
    )


def bars(
    runs: Sequence[NodeRun],
    moves: Iterable[Mapping[str, Any]],
    graph: Mapping[str, GraphNode],
    *,
    succeeded: bool,
    titles: bool,
) -> list[NodeBar]:
    """All nodes: those that were told in the order in which they began, then the rest of the graph.

    Args:
        runs: what the probe told.
        moves: models that came and went.
        graph: the posted one; empty: not known.
        succeeded: a node without a word was handed over from the cache, then; else it was not
            reached.
        titles: whether users' names of nodes are told.
    """
    loading = loads(moves)
    told = [bar(run, graph, loading.get(run.node, 0.0), titles=titles) for run in runs]
    seen = {run.node for run in runs} | {run.display for run in runs}
    rest = [
        _unseen(node, entry, succeeded=succeeded, titles=titles)
        for node, entry in graph.items()
        if node not in seen
    ]
    return told + rest


def bar(
    run: NodeRun, graph: Mapping[str, GraphNode], load_seconds: float, *, titles: bool
) -> NodeBar:
    """One node that was told."""
    known = graph.get(run.display or run.node)
    return {
        "node": run.node,
        "display": run.display,
        "class_type": run.class_type,
        "title": known.title if known and titles else "",
        "reached": True,
        "state": state(run),
        "started_ms": run.started_ms,
        "seconds": run.seconds,
        "load_seconds": min(load_seconds, run.seconds),
        "calls": run.calls,
        "error": run.error or "",
        "before_bytes": run.before_bytes,
        "after_bytes": run.after_bytes,
        "peak_bytes": run.peak_bytes,
        "out_bytes": run.out_bytes,
        "fallback": run.fallback or "",
        "usual_seconds": run.usual_seconds,
        "late_seconds": run.late_seconds,
        "percentile": run.percentile,
        "slow": slow(run),
    }


def slow(run: NodeRun) -> list[str]:
    """Why a node is marked; nothing: it is not."""
    if run.cached:
        return []
    late = run.late_seconds is not None and run.seconds > run.late_seconds
    found = ["late"] if late and run.seconds >= _LEAST_LATE_SECONDS else []
    return [*found, "long"] if run.seconds > LONG_SECONDS else found


def loads(moves: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds by node in which models were loaded."""
    seconds: dict[str, float] = defaultdict(float)
    for move in moves:
        if move["what"] == "load":
            seconds[move["node"]] += move["seconds"]
    return seconds


def listed_moves(moves: Iterable[Mapping[str, Any]]) -> list[Move]:
    """The same for the page."""
    return [
        {
            "at_ms": move["at_ms"],
            "what": move["what"],
            "model": move["model"],
            "node": move["node"],
            "bytes": move["bytes"],
            "loaded_bytes": move["loaded_bytes"],
            "seconds": move["seconds"],
        }
        for move in moves
    ]


def state(run: NodeRun) -> Any:
    """How it ended, in the page's words."""
    if run.cached:
        return "cached"
    if run.result == "success":
        return "done"
    return "interrupted" if run.error in _INTERRUPTS else "failed"


def _unseen(node: str, entry: GraphNode, *, succeeded: bool, titles: bool) -> NodeBar:
    return {
        "node": node,
        "display": "",
        "class_type": entry.class_type,
        "title": entry.title if titles else "",
        "reached": False,
        "state": "cached" if succeeded else "missing",
        "started_ms": 0,
        "seconds": 0.0,
        "load_seconds": 0.0,
        "calls": 0,
        "error": "",
        "before_bytes": None,
        "after_bytes": None,
        "peak_bytes": None,
        "out_bytes": None,
        "fallback": "",
        "usual_seconds": None,
        "late_seconds": None,
        "percentile": None,
        "slow": [],
    }
