"""Users' lists as they were read last: which are kept."""

from __future__ import annotations

import tracemalloc

from scheduler.redis_listings import Kept, Listings


def _lists(at: float, jobs: int) -> Kept:
    kept = Kept(at)
    kept.ended.fill((f"job-{n}", n) for n in range(jobs))
    return kept


def test_lists_that_nobody_asked_for_in_a_minute_are_let_go_when_others_are_read() -> None:
    listings = Listings()
    tracemalloc.start()
    try:
        for user in range(20):
            listings.put(f"user{user}", _lists(at=user, jobs=1_000))
        full, _ = tracemalloc.get_traced_memory()
        listings.put("late", _lists(at=70.5, jobs=1_000))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 0.7 * full
    assert [listings.get(f"user{user}", 70.5) is not None for user in (10, 11, 19)] == [
        False,
        True,
        True,
    ]
