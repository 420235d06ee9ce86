"""The last word on prompts that we end ourselves."""

from __future__ import annotations

import pytest

from scheduler.closing import (
    SENTENCES,
    failed_frames,
    failure_data,
    interrupted_frames,
    wordless_entry,
)
from scheduler.states import FailReason


@pytest.mark.parametrize("reason", list(FailReason))
def test_every_reason_has_a_sentence_of_its_own(reason: FailReason) -> None:
    ((type_, data),) = failed_frames("p", reason)
    assert type_ == "execution_error"
    assert data["exception_message"] == SENTENCES[reason]
    assert data["exception_type"] == f"vramgate.{reason.value}"


def test_a_message_outranks_the_reasons_sentence() -> None:
    data = failure_data("p", "expired", "waited 30 s, its deadline was 20 s", at_ms=7)
    assert data["exception_message"] == "waited 30 s, its deadline was 20 s"
    assert data["timestamp"] == 7


def test_a_reason_of_a_newer_version_is_still_a_failure() -> None:
    assert failure_data("p", "melted")["exception_message"] == "The job failed."


def test_without_a_time_nothing_is_claimed_of_it() -> None:
    assert "timestamp" not in failure_data("p", "oom")
    assert "timestamp" not in interrupted_frames("p")[0][1]


def test_the_history_keeps_what_the_client_was_told() -> None:
    frames = interrupted_frames("p", node="3", node_type="KSampler", at_ms=5)
    entry = wordless_entry(frames)
    assert entry["status"]["messages"] == frames
    assert entry["status"]["completed"] is False
    assert entry["outputs"] == {}
