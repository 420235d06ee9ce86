from __future__ import annotations

from typing import Any

from worker_agent.probe.ring import Ring


def filled(count: int, size: int = 8) -> Ring:
    ring = Ring("boot", size)
    for number in range(count):
        ring.add(record(float(number)))
    return ring


def record(at: float = 0.0) -> dict[str, Any]:
    return {"kind": "sample", "at": at}


def seqs(records: list[dict[str, Any]]) -> list[int]:
    return [one["seq"] for one in records]


def test_records_are_numbered_from_one() -> None:
    ring = filled(3)
    assert ring.last == 3
    assert seqs(ring.after(0, 10)) == [1, 2, 3]


def test_at_most_so_many_are_given_the_oldest_first() -> None:
    ring = filled(6)
    assert seqs(ring.after(2, 2)) == [3, 4]
    assert seqs(ring.after(6, 2)) == []


def test_what_was_acknowledged_is_dropped_and_is_no_gap() -> None:
    ring = filled(5)
    ring.acknowledge(3)
    assert seqs(ring.after(0, 10)) == [4, 5]
    assert ring.lost == 0


def test_an_acknowledgement_of_the_future_drops_no_future_record() -> None:
    ring = filled(2)
    ring.acknowledge(99)
    ring.add(record())
    assert seqs(ring.after(0, 10)) == [3]


def test_what_was_overwritten_is_one_gap_with_the_count() -> None:
    ring = filled(11)
    found = ring.after(1, 10)
    assert found[0] == {"seq": 3, "kind": "gap", "at": 3.0, "lost": 2}
    assert seqs(found) == [3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert ring.lost == 3


def test_going_on_after_a_gap_misses_nothing_and_tells_it_once() -> None:
    ring = filled(11)
    first = ring.after(0, 2)
    assert [one["kind"] for one in first] == ["gap", "sample"]
    assert seqs(ring.after(first[-1]["seq"], 2)) == [5, 6]


def test_who_had_the_overwritten_ones_sees_no_gap() -> None:
    assert seqs(filled(11).after(5, 2)) == [6, 7]


def test_a_full_ring_keeps_the_newest() -> None:
    ring = filled(20_000, size=16_384)
    found = ring.after(0, 20_000)
    assert found[0]["lost"] == 20_000 - 16_384
    assert found[-1]["seq"] == 20_000
