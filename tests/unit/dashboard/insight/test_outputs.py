"""Files that a result names, and a curve's gaps."""

from __future__ import annotations

import json

from dashboard.insight.memory import memory
from dashboard.insight.outputs import outputs
from store.timeline import Point


def test_files_are_found_by_node_and_told_apart() -> None:
    told = {
        "9": {"images": [{"filename": "a.PNG", "subfolder": "s", "type": "temp"}], "text": ["x"]},
        "10": {"gifs": [{"filename": "b.mp4"}, 5, {"filename": 7}], "animated": [True]},
        "11": None,
    }
    listed = outputs(json.dumps({"outputs": told}).encode())
    assert [(one["node"], one["kind"], one["type"]) for one in listed] == [
        ("9", "image", "temp"), ("10", "video", "output"),
    ]  # fmt: skip


def test_a_result_that_is_none_has_no_files() -> None:
    for result in (None, b"", b"[", b"[]", b'{"outputs": []}', b"\xff"):
        assert outputs(result) == []


def test_a_curve_says_where_nothing_is_known() -> None:
    points = [Point(at, 1, 2, None) for at in (5000, 5250, 9000)]
    told = memory(points, [(9000, 7)], 1000, 9500)
    assert told["gaps"] == [(1000, 5000), (5250, 9000)]
    assert (told["lost"], told["device_free"]) == (7, [None] * 3)
    assert memory(points[:2], [], 5000, 20_000)["gaps"] == [(5250, 20_000)]
