from __future__ import annotations

import json
from typing import Any

import pytest

from scheduler.ledger import Ending
from scheduler.states import FailReason
from worker_agent import verdict
from worker_agent.comfy_client import Rejected
from worker_agent.tenancy import Names
from worker_agent.verdict import Figures

NAMES = Names(user="ann", prompt_id="theirs", attempt_uuid="ours", client_id="tab", sid="sid")
FIGURES = Figures(peak_bytes=0, run_seconds=1.5, reserved_bytes=4 * 2**30)
GIB = 2**30


def entry(word: str, *messages: Any, outputs: Any = None) -> dict[str, Any]:
    return {
        "outputs": outputs or {},
        "status": {"status_str": word, "completed": word == "success", "messages": list(messages)},
        "meta": {"1": {"node_id": "1"}},
    }


def error(**data: Any) -> list[Any]:
    return ["execution_error", {"prompt_id": "ours", **data}]


def test_success_keeps_outputs_and_meta_in_the_users_names() -> None:
    image = {"filename": "a.png", "subfolder": "vg/ann", "type": "output"}
    row = entry("success", ["execution_success", {"prompt_id": "ours"}], outputs={"1": [image]})
    key = ("output", "vg/ann", "a.png")
    outcome = verdict.concluded(row, [], NAMES, {key: ("output", "", "b.png")}, FIGURES)
    result = json.loads(outcome.result)
    assert outcome.ending is Ending.SUCCEEDED
    assert result["outputs"]["1"][0]["filename"] == "b.png"
    assert result["meta"] == {"1": {"node_id": "1"}}
    assert json.loads(outcome.frames) == [["execution_success", {"prompt_id": "theirs"}]]
    assert "ours" not in outcome.result.decode()


def test_what_the_socket_told_is_not_said_twice() -> None:
    told = [["execution_success", {"prompt_id": "theirs", "timestamp": 7}]]
    row = entry("success", ["execution_success", {"prompt_id": "ours"}])
    outcome = verdict.concluded(row, told, NAMES, {}, FIGURES)
    assert json.loads(outcome.frames) == told


def test_a_blocked_output_is_told_and_the_prompt_is_a_success() -> None:
    told = [["execution_error", {"exception_type": "ExecutionBlocked"}]]
    row = entry("success", ["execution_success", {"prompt_id": "ours"}])
    outcome = verdict.concluded(row, told, NAMES, {}, FIGURES)
    assert outcome.ending is Ending.SUCCEEDED
    kinds = [kind for kind, _ in json.loads(outcome.frames)]
    assert kinds == ["execution_error", "execution_success"]


def test_an_interrupted_prompt_is_cancelled() -> None:
    row = entry("error", ["execution_interrupted", {"prompt_id": "ours"}])
    assert verdict.concluded(row, [], NAMES, {}, FIGURES).ending is Ending.CANCELLED


@pytest.mark.parametrize(
    "data",
    [
        {"exception_type": "torch.OutOfMemoryError", "exception_message": "x"},
        {"exception_type": "torch.cuda.OutOfMemoryError", "exception_message": "x"},
        {"exception_type": "RuntimeError", "exception_message": "Allocation on device \n"},
    ],
)
def test_out_of_memory_is_known_by_type_or_message(data: dict[str, str]) -> None:
    outcome = verdict.concluded(entry("error", error(**data)), [], NAMES, {}, FIGURES)
    assert outcome.ending is Ending.OOM
    assert outcome.retry_bytes == int(4 * GIB * 1.2)


def test_any_other_error_fails_the_job() -> None:
    row = entry("error", error(exception_type="MemoryError", exception_message="host"))
    outcome = verdict.concluded(row, [], NAMES, {}, FIGURES)
    assert (outcome.ending, outcome.reason) == (Ending.FAILED, FailReason.NODE_ERROR)
    assert outcome.retry_bytes == 0


def test_a_retry_asks_for_more_than_was_used() -> None:
    assert Figures(peak_bytes=GIB, run_seconds=0, reserved_bytes=9).retry_bytes == GIB + 2**28
    assert Figures(peak_bytes=9 * GIB, run_seconds=0, reserved_bytes=9).retry_bytes > 10 * GIB


def test_a_refusal_names_the_node_but_no_lists_and_no_folders() -> None:
    errors = [
        {"message": "Value not in list", "details": "image: 'x' not in ['secret.png']"},
        {"message": "Bad file", "details": "vg/ann/a.png"},
    ]
    node_errors = {"4": {"errors": errors, "class_type": "Load"}}
    rejected = Rejected({"type": "prompt_outputs_failed_validation"}, node_errors)
    outcome = verdict.refused(rejected, NAMES, FIGURES, 5)
    ((_, data),) = json.loads(outcome.frames)
    assert (data["node_id"], data["node_type"], data["timestamp"]) == ("4", "Load", 5)
    assert data["exception_message"] == "Value not in list: image: 'x'\nBad file: a.png"
    assert json.loads(outcome.result)["status"]["status_str"] == "error"


def test_a_refusal_without_nodes_says_what_the_worker_said() -> None:
    rejected = Rejected({"type": "no_prompt", "message": "No prompt", "details": ""}, {})
    ((_, data),) = json.loads(verdict.refused(rejected, NAMES, FIGURES, 5).frames)
    assert data["exception_message"] == "No prompt"


def test_a_lost_attempt_shows_nothing() -> None:
    outcome = verdict.lost(FIGURES)
    assert (outcome.ending, outcome.frames) == (Ending.LOST, b"[]")
