"""A graph's nodes as they are drawn."""

from __future__ import annotations

import json
from typing import Any

from dashboard.insight.nodes import bars, read_graph, slow
from store.timeline import NodeRun


def run(**changes: Any) -> NodeRun:
    fields: dict[str, Any] = {
        "node": "3", "display": "", "class_type": "KSampler", "started_ms": 5, "seconds": 2.0,
        "calls": 1, "cached": False, "result": "success", "error": None, "before_bytes": 1,
        "after_bytes": 2, "peak_bytes": 3, "out_bytes": 4, "fallback": None, "capture": None,
        "shapes": {}, "usual_seconds": 1.0, "late_seconds": 1.5, "percentile": 1.0,
    }  # fmt: skip
    return NodeRun(**(fields | changes))


def test_a_node_is_marked_when_it_is_late_or_long_and_never_when_it_was_cached() -> None:
    assert slow(run()) == ["late"]
    assert slow(run(seconds=5.1)) == ["late", "long"]
    assert slow(run(seconds=5.1, late_seconds=None)) == ["long"]
    assert slow(run(seconds=5.0, late_seconds=6.0)) == []
    assert slow(run(seconds=0.3, late_seconds=0.1)) == []
    assert slow(run(seconds=9.0, cached=True)) == []


def test_nodes_that_nobody_told_of_follow_those_that_ran() -> None:
    graph = read_graph(
        json.dumps(
            {"prompt": {"1": {"class_type": "Load", "_meta": {"title": "mine"}}, "3": {}, "7": {}}}
        ).encode()
    )
    # 7 was expanded into 7.0.1
    runs = [run(), run(node="7.0.1", display="7", class_type="Inner")]
    listed = bars(runs, [], graph, succeeded=True, titles=True)
    assert [(bar["node"], bar["state"], bar["reached"]) for bar in listed] == [
        ("3", "done", True), ("7.0.1", "done", True), ("1", "cached", False),
    ]  # fmt: skip
    assert listed[2]["title"] == "mine"
    failed = bars(runs, [], graph, succeeded=False, titles=False)
    assert (failed[2]["state"], failed[2]["title"]) == ("missing", "")


def test_a_failed_node_is_told_from_an_interrupted_one() -> None:
    states = [
        bars([run(result="failure", error=error)], [], {}, succeeded=False, titles=True)[0]["state"]
        for error in ("ValueError", "InterruptProcessingException", None)
    ]
    assert states == ["failed", "interrupted", "failed"]


def test_loading_is_a_part_of_the_node_that_asked_for_it() -> None:
    moves = [
        {"what": "load", "node": "3", "seconds": 0.5},
        {"what": "load", "node": "3", "seconds": 0.75},
        {"what": "unload", "node": "3", "seconds": 9.0},
        {"what": "load", "node": "4", "seconds": 9.0},
    ]
    (bar,) = bars([run()], moves, {}, succeeded=True, titles=True)
    assert bar["load_seconds"] == 1.25


def test_a_body_that_is_no_graph_has_no_nodes() -> None:
    for body in (None, b"", b"[", b"[]", b'{"prompt": 5}', b'{"1": {"class_type": "X"}}', b"\xff"):
        assert read_graph(body) == {}
    assert list(read_graph(b'{"prompt": {"1": 5, "2": {"class_type": []}}}')) == ["2"]
