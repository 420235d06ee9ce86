"""The body as stored, as shown, and closing messages as sent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.comfy_api.stored import decode_body, encode_body, queue_item
from gateway.events import closing_messages
from scheduler.ledger import Event, EventKind
from scheduler.states import JobState


def shown(extra_data: dict[str, Any], client_id: str | None) -> Any:
    body = encode_body(
        prompt={"1": {}},
        extra_data=extra_data,
        outputs=["1"],
        client_id=client_id,
        secrets={"k": 1},
    )
    return msgspec.json.decode(msgspec.json.encode(queue_item(7, "p", decode_body(body))))


@pytest.mark.parametrize("client_id", ["tab", 'qu"ote', "größe"])
@pytest.mark.parametrize("extra_data", [{}, {"a": {"b": [1, {}]}}])
def test_the_client_id_is_part_of_the_extra_data_shown(
    extra_data: dict[str, Any], client_id: str
) -> None:
    item = shown(extra_data, client_id)
    assert item == [7, "p", {"1": {}}, {**extra_data, "client_id": client_id}, ["1"]]


def test_a_prompt_without_client_id_shows_none() -> None:
    assert shown({"a": 1}, None)[3] == {"a": 1}


def settled(frames: bytes, state: JobState = JobState.FAILED) -> list[dict[str, Any]]:
    return closing_messages(
        Event(
            id="1-0",
            kind=EventKind.SETTLED,
            at_ms=5,
            prompt_id="p",
            state=state,
            reason="oom",
            frames=frames,
        )
    )


def test_a_nodes_own_error_is_not_replaced() -> None:
    messages = settled(b'[["execution_error", {"exception_message": "its own"}]]')
    assert [message["data"]["exception_message"] for message in messages] == ["its own"]


@pytest.mark.parametrize("frames", [b"[]", b"", b"not json", b"[1]", b'[["a"]]'])
def test_a_failure_without_an_error_of_its_own_is_given_one(frames: bytes) -> None:
    (message,) = settled(frames)
    assert message["type"] == "execution_error"
    assert message["data"]["prompt_id"] == "p"
    assert "memory" in message["data"]["exception_message"]


def test_status_and_executing_are_made_elsewhere_and_not_sent_twice() -> None:
    frames = b'[["execution_success", {}], ["status", {}], ["executing", {"node": null}]]'
    messages = settled(frames, JobState.SUCCEEDED)
    assert [message["type"] for message in messages] == ["execution_success"]


def test_words_without_a_time_get_the_events() -> None:
    (message,) = settled(b'[["execution_error", {"exception_message": "poison"}]]')
    assert message["data"]["timestamp"] == 5
    (message,) = settled(b'[["execution_error", {"timestamp": 3}]]')
    assert message["data"]["timestamp"] == 3
