"""Files that a result names."""

from __future__ import annotations

import json

from dashboard.history.rows import output_names


def _result(outputs: object) -> bytes:
    return json.dumps({"outputs": outputs, "status": {"filename": "no.png"}}).encode()


def test_every_file_below_outputs_is_found_once() -> None:
    image = {"filename": "a.png", "subfolder": "s", "type": "output"}
    outputs = {
        "9": {"images": [image, image], "animated": [False]},
        "10": {"gifs": [{"clip": {"filename": "b.mp4", "type": "temp", "fps": 24}}]},
    }
    assert output_names(_result(outputs)) == [("output", "s", "a.png"), ("temp", "", "b.mp4")]


def test_other_things_of_that_name_are_no_files() -> None:
    assert output_names(_result({"9": {"filename": 7, "text": ["filename"]}})) == []
    assert output_names(_result(None)) == []
    assert output_names(_result({"9": {"filename": ""}})) == []


def test_a_result_that_is_no_json_object_names_none() -> None:
    for result in (None, b"", b"[]", b"not json", b"\xff", b"[" * 100_000):
        assert output_names(result) == []


def test_deep_nesting_is_walked() -> None:
    deep: object = {"filename": "deep.png"}
    for _ in range(200):
        deep = [deep]
    assert output_names(_result({"1": deep})) == [("output", "", "deep.png")]
