"""Log lines of a user's own events: what they say, and what they never quote."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any

from gateway.own_log import MOST_LINES, Line, newest, of_event, of_job, read_closing, read_result
from scheduler.ledger import Event, EventKind
from scheduler.states import FailReason, JobState, WaitReason
from tests.factories import gpu
from tests.pools import job as make_job

GPUS = {"gpu-0": gpu("gpu-0", "host", index=1)}
NOW_MS = 1_000_000
ERROR: dict[str, Any] = {
    "node_id": "7",
    "node_type": "KSampler",
    "exception_type": "ValueError",
    "exception_message": "a secret landscape, oil on canvas",
    "traceback": ["/home/studio/ComfyUI/nodes.py"],
}


def told(closing: Any = (), **changes: Any) -> list[str]:
    fields = {"prompt_id": "p-1", "submitted_ms": 1, **changes}
    return [line.text for line in of_job(make_job("j", **fields), GPUS, closing, NOW_MS)]


def event(kind: EventKind, **changes: Any) -> str | None:
    fields: dict[str, Any] = {"id": "1-0", "at_ms": 5_000, "prompt_id": "p-1", "user": "ann"}
    line = of_event(Event(kind=kind, **(fields | changes)), GPUS, 2_500)
    return None if line is None else line.text


def test_a_waiting_job_says_why() -> None:
    lines = told(wait_reason=WaitReason.NO_HEADROOM, wait_detail="needs 14.0 GiB, 12.1 GiB free")
    assert lines == ["prompt p-1 queued", "prompt p-1 waits: needs 14.0 GiB, 12.1 GiB free"]


def test_a_job_that_ran_says_where_how_long_and_after_what() -> None:
    done = {"state": JobState.SUCCEEDED, "gpu": "gpu-0", "started_ms": 10, "ended_ms": 20}
    assert told(**done, run_seconds=12.34) == [
        "prompt p-1 queued",
        "prompt p-1 started on GPU 1 of host",
        "prompt p-1 done after 12.3 s",
    ]
    assert told(**done, ooms=1, attempt=2)[1].endswith("(try 2: ran out of memory before)")


def test_a_failure_names_node_and_type_but_quotes_nothing() -> None:
    failed = {"state": JobState.FAILED, "reason": FailReason.NODE_ERROR, "ended_ms": 2_001}
    lines = told([("execution_error", ERROR)], **failed, started_ms=1)
    assert lines[-1] == (
        "prompt p-1 failed after 2.0 s: node_error in node 7 (KSampler): ValueError"
    )
    assert not any("landscape" in line or "/home" in line for line in lines)


def test_each_event_has_its_words_and_those_of_no_interest_none() -> None:
    assert event(EventKind.SUBMITTED) == "prompt p-1 queued"
    assert event(EventKind.CLAIMED, gpu="gpu-0") == "prompt p-1 started on GPU 1 of host"
    assert event(EventKind.CLAIMED, gpu="gone") == "prompt p-1 started"
    assert event(EventKind.ADMITTED) is None
    assert "tried again with more" in str(event(EventKind.REQUEUED, reason="oom"))
    assert "tried again" in str(event(EventKind.REQUEUED, reason="a newer reason"))
    settled = EventKind.SETTLED
    assert event(settled, state=JobState.SUCCEEDED) == "prompt p-1 done after 2.5 s"
    assert event(settled, state=JobState.CANCELLED) == "prompt p-1 cancelled"
    frames = json.dumps([["execution_error", ERROR]]).encode()
    failed = event(settled, state=JobState.FAILED, reason="node_error", frames=frames)
    assert failed == "prompt p-1 failed after 2.5 s: node_error in node 7 (KSampler): ValueError"


def test_ids_of_a_clients_own_start_no_line_and_move_no_cursor() -> None:
    assert event(EventKind.SUBMITTED, prompt_id="a\n[12:00] b\x1b[2J") == (
        "prompt a?[12:00] b?[2J queued"
    )


def test_a_line_has_its_time_in_both_of_its_parts() -> None:
    assert Line(1_500, "text").entry(UTC) == {
        "t": "1970-01-01T00:00:01.500000+00:00",
        "m": "[00:00:01] text\n",
    }


def test_the_newest_lines_are_kept_in_order_of_time() -> None:
    lines = [Line(at, str(at)) for at in range(MOST_LINES + 10)]
    assert newest(reversed(lines)) == lines[10:]


def test_what_cannot_be_read_says_nothing() -> None:
    assert list(read_closing(b"no json")) == list(read_result(None)) == []
    entry = {"outputs": {}, "status": {"messages": [["execution_error", ERROR]]}}
    assert list(read_result(json.dumps(entry).encode())) == [("execution_error", ERROR)]
