"""The soak's own judgement: what it takes for lost, for doubled, and for growing."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from bench.soak_books import Books
from bench.soak_memory import Series
from scheduler.states import JobState

RED = 0xFF0000
ENTRY = {"outputs": {"2": {"images": [{"type": "output", "filename": "x.png"}]}}}


def picture(colour: tuple[int, int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, "png")
    return out.getvalue()


def wrong(books: Books) -> dict[str, int]:
    found: dict[str, int] = books.report()["wrong"]
    return found


def test_a_prompt_that_ends_once_with_its_own_picture_is_accounted_for() -> None:
    books = Books()
    books.settled("p1", JobState.SUCCEEDED)  # before the answer to the POST is read
    job = books.posted("ann", "p1", RED)
    assert books.image(job, ENTRY) == {"type": "output", "filename": "x.png"}
    books.check_picture(job, picture((255, 0, 0)))
    books.check_ends(job)
    report = books.report()
    assert (report["succeeded"], report["pictures_seen"], report["unaccounted"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("states", "what"),
    [
        ([], "lost"),
        ([JobState.SUCCEEDED, JobState.SUCCEEDED], "ended_twice"),
        ([JobState.CANCELLED], "stopped_by_nobody"),
        ([JobState.FAILED], "failed"),
    ],
)
def test_an_end_that_must_not_be_is_told(states: list[JobState], what: str) -> None:
    books = Books()
    job = books.posted("ann", "p1", RED)
    for state in states:
        books.settled("p1", state)
    books.check_ends(job)
    assert wrong(books) == {what: 1}


def test_a_cancelled_prompt_may_be_cancelled_or_come_too_late() -> None:
    books = Books()
    for id_, state in (("p1", JobState.CANCELLED), ("p2", JobState.SUCCEEDED)):
        job = books.posted("ann", id_, RED)
        job.cancelled = True
        books.settled(id_, state)
        books.check_ends(job)
    assert wrong(books) == {}


def test_another_picture_none_and_a_missing_entry_are_told() -> None:
    books = Books()
    job = books.posted("ann", "p1", RED)
    books.settled("p1", JobState.SUCCEEDED)
    books.check_picture(job, picture((0, 0, 255)))
    books.check_picture(job, b"")
    assert books.image(job, None) is None
    assert wrong(books) == {"wrong_picture": 1, "no_picture": 1, "no_entry": 1}


@pytest.mark.parametrize(
    ("per_hour", "hours", "flat"),
    [(0.0, 24, True), (0.2, 24, True), (2.0, 24, False), (9, 1, None)],
)
def test_growth_is_judged_over_a_day(per_hour: float, hours: int, flat: bool | None) -> None:
    series = Series()
    for n in range(101):
        hour = hours * n / 100
        series.add(hour, 100 + per_hour * hour)
    assert series.is_flat() is flat
    assert series.report()["per_hour"] == pytest.approx(per_hour)
