from __future__ import annotations

import json
import struct

import pytest

from worker_agent.frames import Binary, Message, Progress, parse_binary, parse_text

# the head of a SaveImageWebsocket result as ComfyUI 0.3.64 sent it
RESULT = bytes.fromhex("000000010000000289504e470d0a1a0a")


def test_a_result_image_is_event_one_with_its_format() -> None:
    assert parse_binary(RESULT) == Binary(1, b"\x89PNG\r\n\x1a\n", image_type=2)


def test_a_preview_carries_its_node_and_ids() -> None:
    meta = {"node_id": "3", "prompt_id": "p", "image_type": "image/jpeg"}
    head = json.dumps(meta).encode()
    frame = parse_binary(struct.pack(">II", 4, len(head)) + head + b"\xff\xd8")
    assert frame == Binary(4, b"\xff\xd8", image_type=1, node="3", metadata=meta)


def test_progress_text_names_its_node() -> None:
    # "slept 0.2" of node 1, as recorded
    frame = parse_binary(bytes.fromhex("000000030000000131") + b"slept 0.2")
    assert frame == Binary(3, b"slept 0.2", node="1")


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00\x00\x00\x01",
        struct.pack(">II", 3, 50) + b"x",
        struct.pack(">II", 4, 2) + b"[]",
        struct.pack(">II", 4, 2) + b"{x",
    ],
)
def test_frames_that_are_cut_are_none(frame: bytes) -> None:
    assert parse_binary(frame) is None


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0\0\1BM a bitmap"])
def test_a_packs_own_event_is_kept_as_it_is(body: bytes) -> None:
    assert parse_binary(struct.pack(">I", 4321) + body) == Binary(4321, body)


def test_a_text_may_name_no_node() -> None:
    assert parse_binary(struct.pack(">II", 3, 0) + b"seed:7") == Binary(3, b"seed:7")


def test_a_text_frame_may_hold_nan_as_comfyui_writes_it() -> None:
    message = parse_text('{"type": "executed", "data": {"prompt_id": "p", "x": NaN}}')
    assert isinstance(message, Message)
    assert message.prompt_id == "p"


@pytest.mark.parametrize("text", ["", "[]", '{"data": 1}', "{"])
def test_text_that_is_no_message_is_none(text: str) -> None:
    assert parse_text(text) is None


def test_a_message_of_a_pack_may_carry_anything() -> None:
    assert parse_text('{"type": "x", "data": [1]}') == Message("x", [1])
    assert Message("x", [1]).prompt_id is None


STATE = '{"type": "progress_state", "data": {"prompt_id": "p", "nodes": {"3": {"value": 2, "max": 20}}}}'


def test_progress_is_not_taken_apart() -> None:
    data = '{"prompt_id": "p", "nodes": {"3": {"value": 2, "max": 20}}}'
    assert parse_text(STATE) == Progress("progress_state", "p", None, None, data)
    step = '{"type":"progress","data":{"value":2.5,"max":20,"prompt_id":"p","node":"3"}}'
    found = parse_text(step)
    assert isinstance(found, Progress)
    assert (found.node, found.value) == ("3", 2.5)


@pytest.mark.parametrize(
    "text",
    [
        # an id may hide behind an escape, a file has two names
        STATE.replace('"p"', '"\\u0070"'),
        STATE.replace("max", "filename"),
        # what is no strict JSON must not be handed on as it is
        STATE.replace("20", "NaN"),
        STATE.replace('"prompt_id": "p"', '"prompt_id": 1'),
        '{"type": "progress", "data": [1]}',
        '{"type": "progress", "data": {"node": "3"}, "type": "executed"}',
        '{"type": "progress"}',
        '{"type": "executed", "data": {"of": "progress"}}',
    ],
)
def test_what_cannot_be_handed_on_as_it_is_is_decoded(text: str) -> None:
    found = parse_text(text)
    assert isinstance(found, Message)
    assert found.type == json.loads(text)["type"]
