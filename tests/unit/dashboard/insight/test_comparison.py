"""Two jobs side by side."""

from __future__ import annotations

from typing import Any

from dashboard.insight.comparison import Side, nodes, parts
from tests.unit.dashboard.insight.test_nodes import run


def side(*runs: Any, **changes: Any) -> Side:
    given = {one.node: one.shapes for one in runs if one.shapes}
    fields: dict[str, Any] = {
        "wait_seconds": 1.0,
        "run_seconds": 10.0,
        "inputs": given,
        "loads": {},
    }
    return Side(runs=runs, **(fields | changes))


def test_what_lost_most_stands_first() -> None:
    a = side(run(), run(node="8", class_type="VAEDecode", seconds=9.0))
    b = side(run(seconds=1.5), run(node="8", class_type="VAEDecode", seconds=1.0))
    rows = nodes(a, b)
    assert [(row["class_type"], row["lost_seconds"]) for row in rows] == [
        ("VAEDecode", 8.0), ("KSampler", 0.5),
    ]  # fmt: skip


def test_a_node_with_another_number_is_found_by_its_class() -> None:
    rows = nodes(side(run(node="3")), side(run(node="33")))
    assert [(row["node_a"], row["node_b"]) for row in rows] == [("3", "33")]
    rows = nodes(side(run(node="3")), side(run(node="3", class_type="Other")))
    assert {(row["node_a"], row["node_b"]) for row in rows} == {("3", None), (None, "3")}


def test_inputs_that_differ_are_named_where_both_are_known() -> None:
    (row,) = nodes(
        side(run(shapes={"steps": 20, "cfg": 7})), side(run(shapes={"steps": 30, "cfg": 7, "x": 1}))
    )
    assert row["changed"] == [
        {"name": "steps", "a": 20, "b": 30}, {"name": "x", "a": None, "b": 1},
    ]  # fmt: skip
    (unknown,) = nodes(side(run(shapes={"steps": 20})), side(run()))
    assert unknown["changed"] == []


def test_loading_is_told_apart_and_never_more_than_the_node_took() -> None:
    a = side(run(seconds=4.0), loads={"3": 3.0})
    b = side(run(seconds=1.0), loads={"3": 9.0})
    (row,) = nodes(a, b)
    assert (row["load_a"], row["load_b"]) == (3.0, 1.0)
    seconds = {part["what"]: (part["seconds_a"], part["seconds_b"]) for part in parts(a, b)}
    assert (seconds["loading"], seconds["nodes"]) == ((3.0, 1.0), (1.0, 0.0))


def test_parts_make_up_the_time() -> None:
    told = parts(side(run(seconds=4.0)), side(run(seconds=1.0), run_seconds=3.0, wait_seconds=0.0))
    seconds = {part["what"]: (part["seconds_a"], part["seconds_b"]) for part in told}
    assert seconds == {
        "waiting": (1.0, 0.0), "loading": (0.0, 0.0), "nodes": (4.0, 1.0), "between": (6.0, 2.0),
    }  # fmt: skip
