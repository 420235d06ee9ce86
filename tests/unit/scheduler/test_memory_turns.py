"""Turns: a sorted set in memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scheduler.memory_turns import Turns

members = st.sampled_from("abcdef")


@given(st.lists(st.tuples(members, st.one_of(st.none(), st.integers(0, 20))), max_size=300))
def test_the_least_is_that_of_the_members_now(steps: list[tuple[str, int | None]]) -> None:
    turns, truth = Turns(), dict[str, int]()
    for member, counter in steps:
        if counter is None:
            turns.drop(member)
            truth.pop(member, None)
        else:
            turns.put(member, counter)
            truth[member] = counter
        assert turns.least() == min(truth.values(), default=None)
        assert turns.counters == truth
        assert (member in turns) is (member in truth)


def test_what_is_no_longer_true_does_not_pile_up() -> None:
    turns = Turns()
    for counter in range(10_000):
        turns.put("a", -counter)
    assert len(turns._heap) < 100
    assert turns.least() == -9999
