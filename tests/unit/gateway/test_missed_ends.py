"""Ends that wait for a client who was away: whose, how long, how often, and how many."""

from __future__ import annotations

from typing import Any

from gateway.missed_ends import KEPT_S, MissedEnds
from scheduler.ledger import Event, EventKind


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def end(job: str, user: str = "ann", client_id: str | None = "tab", **changes: Any) -> Event:
    fields: dict[str, Any] = {"id": "1-0", "kind": EventKind.SETTLED, "at_ms": 1}
    return Event(job=job, user=user, client_id=client_id, **(fields | changes))


def jobs(ends: MissedEnds, user: str = "ann", client_id: str = "tab", **how: bool) -> list[str]:
    certain = how.get("only_certain", True)
    return [event.job for event in ends.take(user, client_id, only_certain=certain)]


def test_an_end_goes_to_its_own_client_once() -> None:
    ends = MissedEnds(Clock())
    ends.keep(end("a"), certain=True)
    ends.keep(end("b"), certain=True)
    assert jobs(ends, "bob") == []
    assert jobs(ends, "ann", "other") == []
    assert jobs(ends) == ["a", "b"]
    assert jobs(ends) == []


def test_it_is_known_whose_ends_wait() -> None:
    ends = MissedEnds(Clock())
    ends.keep(end("a"), certain=False)
    assert ends.concern("ann")
    assert not ends.concern("bob")
    jobs(ends, only_certain=False)
    assert not ends.concern("ann")


def test_nobody_waits_for_the_end_of_a_prompt_without_client() -> None:
    ends = MissedEnds(Clock())
    ends.keep(end("a", client_id=None), certain=True)
    assert jobs(ends, "ann", "") == []


def test_what_somebody_may_have_heard_goes_only_to_those_who_compare_ids() -> None:
    ends = MissedEnds(Clock())
    ends.keep(end("a"), certain=False)
    assert jobs(ends) == []
    assert jobs(ends, only_certain=False) == ["a"]


def test_an_end_waits_for_half_a_minute_from_when_it_was() -> None:
    clock = Clock()
    ends = MissedEnds(clock)
    ends.keep(end("old"), certain=True, ago_s=KEPT_S - 1)
    ends.keep(end("new"), certain=True)
    clock.now += 2
    assert jobs(ends) == ["new"]
    ends.keep(end("later"), certain=True)
    clock.now += KEPT_S + 1
    assert jobs(ends) == []


def test_they_are_bounded_by_number_and_by_bytes_oldest_first() -> None:
    ends = MissedEnds(Clock())
    for number in range(5000):
        ends.keep(end(f"{number}"), certain=True)
    kept = jobs(ends)
    assert (kept[0], kept[-1], len(kept)) == ("904", "4999", 4096)
    for number in range(6):
        ends.keep(end(f"{number}", frames=b"x" * 2**20), certain=True)
    assert jobs(ends) == ["2", "3", "4", "5"]


def test_an_end_told_twice_is_kept_once() -> None:
    ends = MissedEnds(Clock())
    ends.keep(end("a", frames=b"x" * 3 * 2**20), certain=False)
    ends.keep(end("a", frames=b"x" * 3 * 2**20), certain=True)
    assert jobs(ends) == ["a"]
