"""How often models are asked for, old requests fading."""

from __future__ import annotations

import pytest

from scheduler.demand import DemandBook

HALF_LIFE_MS = 1_800_000


def test_old_requests_count_half_after_half_an_hour() -> None:
    book = DemandBook()
    book.observe("checkpoints/a", 0, 20.0, 100)
    now = book.demand(0)["checkpoints/a"].rate
    assert book.demand(HALF_LIFE_MS)["checkpoints/a"].rate == pytest.approx(now / 2)


def test_a_steady_stream_converges_to_its_rate() -> None:
    book = DemandBook()
    for second in range(0, 20_000, 10):
        book.observe("checkpoints/a", second * 1000, 20.0, 100)
    assert book.demand(20_000_000)["checkpoints/a"].rate == pytest.approx(0.1, rel=0.01)


def test_what_is_not_known_does_not_overwrite_what_was() -> None:
    book = DemandBook()
    book.observe("checkpoints/a", 0, 20.0, 100)
    book.observe("checkpoints/a", 1, 0.0, 0)
    found = book.demand(1)["checkpoints/a"]
    assert (found.load_seconds, found.bytes) == (20.0, 100)


def test_the_book_forgets_what_nobody_asks_for_before_it_grows_without_bound() -> None:
    book = DemandBook()
    for number in range(5_000):
        book.observe(f"checkpoints/{number}", number, 20.0, 100)
    assert len(book.demand(5_000)) <= 2_000
    assert "checkpoints/4999" in book.demand(5_000)
