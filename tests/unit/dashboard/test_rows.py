"""Files that a result names."""

from __future__ import annotations

import json

import pytest

from dashboard.ended import EndedWindow
from dashboard.history.rows import (
    attempt_row,
    bare_job_row,
    job_row,
    output_names,
    settled,
    without_secrets,
)
from scheduler.ledger import Event, EventKind
from scheduler.states import JobState
from store import schema
from tests.pools import job


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


def _event(kind: EventKind, attempt: int = 2, **changes: object) -> Event:
    return Event(
        id="5-0",
        kind=kind,
        at_ms=5,
        job="j",
        user="ann",
        attempt=attempt,
        state=JobState.QUEUED,
        **changes,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("kind", list(EventKind))
def test_each_kind_of_event_says_only_its_own_of_an_attempt(kind: EventKind) -> None:
    row = attempt_row(_event(kind, reason="preempted", worker="w", gpu="g"))
    ended = {"ended_ms": 5, "state": "QUEUED", "reason": "preempted", "cost_us": 0}
    told = {
        EventKind.ADMITTED: {"worker": "w", "gpu": "g", "admitted_ms": 5, "reserved_bytes": 0},
        EventKind.CLAIMED: {"claimed_ms": 5},
        EventKind.REQUEUED: ended,
        EventKind.SETTLED: ended,
    }.get(kind)
    key = {"job_id": "j", "attempt": 2, "user_name": "ann"}
    assert row == (None if told is None else {**key, **told})
    assert attempt_row(_event(kind, attempt=0)) is None


def test_a_job_cancelled_in_the_queue_changes_no_earlier_attempt() -> None:
    event = _event(EventKind.SETTLED, worker="", gpu="")
    assert attempt_row(event) is None


@pytest.mark.parametrize("kind", [k for k in EventKind if k is not EventKind.SETTLED])
def test_only_an_end_counts_as_one(kind: EventKind) -> None:
    assert settled([_event(kind)]) == {}
    window = EndedWindow(15)
    window.add([_event(kind)])
    assert window.by_user(5) == {}


def test_an_ended_job_is_kept_with_its_largest_model() -> None:
    models, sizes = ("clip/t5", "unet/flux", "vae/ae"), (9, 23, 1)
    row = job_row(job("j", models=models, model_bytes=sizes, load_seconds=7.5), None, None)
    assert (row["model"], row["model_bytes"], row["load_seconds"]) == ("unet/flux", 23, 7.5)
    assert job_row(job("j", models=("a", "b")), None, None)["model"] == "a"
    assert job_row(job("j", models=()), None, None)["model"] == ""


def test_whatever_is_known_of_an_ended_job_its_row_has_all_columns() -> None:
    columns = {column.name for column in schema.jobs.columns}
    assert set(job_row(job("j"), None, None)) == columns
    assert set(bare_job_row(_event(EventKind.SETTLED))) == columns


def test_keys_that_a_client_sent_for_the_worker_are_not_kept() -> None:
    body = b'{"prompt":{"1":{"inputs":{"text":"my \\"secrets\\""}}},"secrets":{"key":"sk-1"}}'
    kept = without_secrets(body)
    assert json.loads(kept) == {"prompt": {"1": {"inputs": {"text": 'my "secrets"'}}}}
    for other in (b'{"prompt":{}}', b'no body with "secrets"', b'["secrets"]'):
        assert without_secrets(other) == other
