from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.comfy_api.shared_job import shared_prompt, shared_result
from gateway.comfy_api.stored import decode_body, encode_body, encode_stored

SECRET = "quokka"


def prompt(extra: dict[str, Any]) -> dict[str, Any]:
    body = encode_body(
        prompt={"1": {"class_type": "SaveImage"}},
        extra_data=extra,
        outputs=["1"],
        client_id=SECRET,
        secrets={"api_key_comfy_org": SECRET},
    )
    found: dict[str, Any] = json.loads(encode_stored(shared_prompt(decode_body(body), "mia")))
    return found


def result(outputs: Any, messages: Any = (), *, files: bool = True, **more: Any) -> Any:
    told = {
        "outputs": outputs,
        "status": {"messages": messages, **more},
        "meta": {"2": {}, "3": {}},
    }
    return json.loads(shared_result(json.dumps(told).encode(), "mia", "job-1", files=files))


def test_of_extra_data_only_the_workflow_is_shown_and_whose_it_is() -> None:
    workflow = {"id": "w", "nodes": []}
    extra = {
        "extra_pnginfo": {"workflow": workflow, "note": SECRET},
        "token_of_some_plugin": SECRET,
        "vramgate": {"idempotency_key": SECRET},
    }
    shown = prompt(extra)
    assert shown == {
        "prompt": {"1": {"class_type": "SaveImage"}},
        "extra_data": {"extra_pnginfo": {"workflow": workflow}, "vramgate": {"user": "mia"}},
        "outputs": ["1"],
    }


def test_a_picture_inside_the_graph_is_not_shown_and_long_texts_are() -> None:
    picture = base64.b64encode(bytes(range(256)) * 4).decode()
    text = "a long prompt, with words, " * 100
    graph = {
        "1": {"inputs": {"image": picture, "text": text}},
        "2": {"inputs": {"list": [{"url": "data:image/png;base64," + picture}], "seed": 7}},
    }
    extra = {"extra_pnginfo": {"workflow": {"nodes": [{"widgets_values": [picture, text]}]}}}
    body = encode_body(prompt=graph, extra_data=extra, outputs=[], client_id=None, secrets={})
    shown = shared_prompt(decode_body(body), "mia")
    assert json.loads(bytes(shown.prompt)) == {
        "1": {"inputs": {"image": "", "text": text}},
        "2": {"inputs": {"list": [{"url": ""}], "seed": 7}},
    }
    workflow = json.loads(bytes(shown.extra_data))["extra_pnginfo"]["workflow"]
    assert workflow == {"nodes": [{"widgets_values": ["", text]}]}


def test_extra_data_of_any_shape_is_none() -> None:
    for extra in ({}, {"extra_pnginfo": SECRET}, {"extra_pnginfo": [SECRET]}, {"vramgate": 3}):
        assert prompt(extra)["extra_data"] == {"vramgate": {"user": "mia"}}


def test_outputs_are_in_the_owners_folder_and_nothing_else_is_shown() -> None:
    outputs = {
        "2": {
            "images": [
                {"filename": "a.png", "subfolder": "", "type": "output", "path": SECRET},
                {"filename": "b.png", "subfolder": "shots", "type": "output"},
                {"filename": SECRET, "subfolder": "", "type": "temp"},
                {"filename": SECRET, "subfolder": "", "type": "input"},
                {"filename": SECRET},
                {"id": SECRET, "source": "websocket"},
            ],
            "text": [SECRET],
        },
        "3": {"text": [SECRET], "images": [{"filename": SECRET, "type": "temp"}]},
    }
    shown = result(outputs)
    assert shown["outputs"] == {
        "2": {
            "images": [
                {"filename": "a.png", "subfolder": "@mia", "type": "output"},
                {"filename": "b.png", "subfolder": "@mia/shots", "type": "output"},
            ]
        }
    }
    assert shown["meta"] == {"2": {}}


def test_without_shared_outputs_there_are_none() -> None:
    shown = result({"2": {"images": [{"filename": SECRET, "type": "output"}]}}, files=False)
    assert (shown["outputs"], shown["meta"]) == ({}, {})


def test_a_failure_is_told_without_values_and_by_the_id_that_mates_know() -> None:
    error = {
        "prompt_id": SECRET,
        "node_id": "2",
        "exception_message": "out of luck",
        "current_inputs": {"image": [SECRET]},
        "traceback": [SECRET],
        "client_id": SECRET,
    }
    shown = result({}, [["execution_error", error]], status_str="error", completed=False)
    assert shown["status"]["messages"] == [
        [
            "execution_error",
            {
                "node_id": "2",
                "exception_message": "out of luck",
                "traceback": [],
                "current_inputs": {},
                "current_outputs": [],
                "prompt_id": "job-1",
            },
        ]
    ]
    assert (shown["status"]["status_str"], shown["status"]["completed"]) == ("error", False)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from([SECRET, "output", "temp"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["filename", "subfolder", "type", "images", "text", "messages", "2"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(ANYTHING, ANYTHING, ANYTHING)
def test_results_of_any_shape_are_read(outputs: Any, status: Any, meta: Any) -> None:
    told = json.dumps({"outputs": outputs, "status": status, "meta": meta}).encode()
    shown = json.loads(shared_result(told, "mia", "job-1", files=True))
    for output in shown["outputs"].values():
        for files in output.values():
            assert all(one["type"] == "output" for one in files)
            assert all(one["subfolder"].split("/")[0] == "@mia" for one in files)
