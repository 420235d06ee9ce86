"""What a person reads while a prompt waits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.wait_words import ended, started, waiting
from scheduler.states import Job, JobState, Lane, WaitReason

NOW_MS = 1_000_000_000


def words(place: int = 1, **changes: Any) -> str:
    job = Job(
        id="j",
        user="ann",
        group="default",
        prompt_id="p",
        client_id="tab",
        state=JobState.QUEUED,
        rev=1,
        attempt=0,
        number=1,
        lane=Lane.INTERACTIVE,
        fingerprint="f",
        models=(),
        need_bytes=0,
        need_seconds=0.0,
        needs_gpu=True,
        inputs=(),
        submitted_ms=NOW_MS,
    )
    return waiting(replace(job, **changes), place, NOW_MS)


def test_place_reason_and_forecast_stand_in_one_line() -> None:
    text = words(
        2,
        wait_reason=WaitReason.NO_HEADROOM,
        wait_detail="needs 14.0 GiB, 12.1 GiB free",
        start_p50_ms=NOW_MS + 41_000,
    )
    assert text == (
        "2nd of your prompts · waiting for GPU memory (needs 14.0 GiB, 12.1 GiB free) · "
        "starts in about 40 s"
    )


def test_before_the_scheduler_has_said_anything_the_place_stands_alone() -> None:
    assert words(1) == "next of your prompts"


def test_a_retry_is_told() -> None:
    assert words(ooms=1).startswith("ran out of memory, trying again with more · ")
    assert words(losses=2).startswith("its worker was lost, trying again · ")
    assert words(preemptions=1).startswith("made room for another prompt")


def test_being_behind_oneself_is_told_by_the_place_alone() -> None:
    detail = "2 earlier prompts of the same user go first"
    assert words(3, wait_reason=WaitReason.FAIRNESS, wait_detail=detail) == "3rd of your prompts"
    assert words(wait_reason=WaitReason.FAIRNESS, wait_detail="others first") == (
        "next of your prompts · others first"
    )


@pytest.mark.parametrize("reason", list(WaitReason))
def test_every_reason_has_words_without_a_detail(reason: WaitReason) -> None:
    assert "_" not in words(wait_reason=reason)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "starts soon"),
        (7.9, "starts soon"),
        (12, "starts in about 10 s"),
        (57, "starts in about 55 s"),
        (58, "starts in about 1 min"),
        (600, "starts in about 10 min"),
        (3590, "starts in about 1.0 h"),
        (9000, "starts in about 2.5 h"),
    ],
)
def test_a_forecast_is_as_coarse_as_it_is_far(seconds: float, told: str) -> None:
    assert words(start_p50_ms=NOW_MS + int(seconds * 1000)).endswith(told)


@pytest.mark.parametrize(
    ("place", "told"),
    [(2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (21, "21st"), (112, "112th")],
)
def test_places_read_as_people_say_them(place: int, told: str) -> None:
    assert words(place) == f"{told} of your prompts"


def test_start_and_end_tell_what_was_waited_and_ran() -> None:
    assert started(0.2) == "started after less than 1 s"
    assert started(61) == "started after 1 min"
    assert ended(40, 12.4) == "waited 40 s, ran 10 s"
