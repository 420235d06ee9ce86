"""The stream in memory: ids that never fall, a length that stays bounded, one reading group."""

from __future__ import annotations

from scheduler.ledger import EventKind
from scheduler.memory_stream import Stream

FULL = 100
ABANDONED_MS = 30_000


def filled(count: int, limit: int = FULL) -> Stream:
    stream = Stream(limit)
    for n in range(count):
        stream.append(n + 1, EventKind.CAPACITY, reason=str(n))
    return stream


def test_ids_grow_though_the_clock_falls() -> None:
    stream = Stream(FULL)
    ids = [stream.append(ms, EventKind.CAPACITY).id for ms in (5, 5, 3, 6)]
    assert ids == ["5-0", "5-1", "5-2", "6-0"]
    assert stream.last_id == "6-0"


def test_a_reader_gets_what_is_after_its_cursor() -> None:
    stream = filled(5)
    assert [event.reason for event in stream.after("3-0")] == ["3", "4"]
    assert stream.after(stream.last_id) == []
    assert [event.id for event in stream.after("0-0")] == ["1-0", "2-0", "3-0", "4-0", "5-0"]


def test_a_long_stream_keeps_its_newest() -> None:
    events = filled(10 * FULL).after("0-0")
    assert FULL <= len(events) <= 1.25 * FULL
    assert events[-1].reason == str(10 * FULL - 1)


def test_what_was_delivered_comes_again_until_it_is_acknowledged() -> None:
    stream = filled(4)
    first = stream.record(0, "one", 2)
    assert stream.record(1, "one", 10) == first
    stream.acknowledge([event.id for event in first])
    assert [event.reason for event in stream.record(2, "one", 10)] == ["2", "3"]


def test_what_a_dead_recorder_left_goes_to_the_next() -> None:
    stream = filled(3)
    left = stream.record(0, "dead", 10)
    assert stream.record(ABANDONED_MS - 1, "next", 10) == []
    assert stream.record(ABANDONED_MS, "next", 10) == left


def test_an_event_cut_off_before_it_was_stored_is_let_go() -> None:
    stream = filled(3)
    stream.record(0, "one", 10)
    stream.append(4, EventKind.CAPACITY)
    stream.trim(4)
    assert [event.at_ms for event in stream.record(1, "one", 1)] == [4]


def test_a_recorder_that_is_away_finds_everything_when_it_comes_back() -> None:
    stream = filled(3)
    stream.record(0, "one", 10)
    for n in range(3, 5 * FULL):
        stream.append(n + 1, EventKind.CAPACITY, reason=str(n))
    found = [event.reason for event in stream.record(1, "one", 10)]
    stream.acknowledge([event.id for event in stream.after("0-0")[:3]])
    found += [event.reason for event in stream.record(2, "one", 10 * FULL)]
    assert found == [str(n) for n in range(5 * FULL)]


def test_the_recorded_score_ends_before_what_is_pending() -> None:
    stream = filled(3)
    assert stream.recorded_score() is None
    events = stream.record(0, "one", 10)
    assert stream.recorded_score() == 1024 - 1
    stream.acknowledge([events[0].id])
    assert stream.recorded_score() == 2 * 1024 - 1
    stream.acknowledge([event.id for event in events])
    assert stream.recorded_score() == 3 * 1024
    stream.trim(3)
    assert [event.reason for event in stream.after("0-0")] == ["2"]
