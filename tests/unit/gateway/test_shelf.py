"""What is kept, and what has to go."""

from __future__ import annotations

from gateway.shelf import Shelf

#: of three values as large as this, and a little
LIMIT, SIZE = 33_000, 10_000


def test_the_least_recently_used_goes_first() -> None:
    shelf: Shelf[str] = Shelf(LIMIT)
    shelf.put("a", "A", SIZE)
    shelf.put("b", "B", SIZE)
    shelf.put("c", "C", SIZE)
    assert shelf.get("a") == "A"
    shelf.put("d", "D", SIZE)
    assert [shelf.get(key) for key in "abcd"] == ["A", None, "C", "D"]


def test_a_value_put_anew_counts_once() -> None:
    shelf: Shelf[str] = Shelf(LIMIT)
    for _ in range(10):
        shelf.put("a", "A", SIZE)
    shelf.put("b", "B", SIZE)
    shelf.put("c", "C", SIZE)
    assert [shelf.get(key) for key in "abc"] == ["A", "B", "C"]


def test_one_that_would_push_out_most_others_is_not_kept_nor_its_older_self() -> None:
    shelf: Shelf[str] = Shelf(LIMIT)
    shelf.put("a", "A", SIZE)
    shelf.put("a", "AAAA", 2 * SIZE)
    assert shelf.get("a") is None
    shelf.put("b", "B", SIZE)
    assert shelf.get("b") == "B"


def test_many_small_values_take_room_too() -> None:
    shelf: Shelf[int] = Shelf(LIMIT)
    for n in range(1000):
        shelf.put(n, n, 1)
    assert sum(shelf.get(n) is not None for n in range(1000)) < 100


def test_what_nobody_has_used_for_a_while_goes_though_there_is_room() -> None:
    now = [0.0]
    shelf: Shelf[str] = Shelf(LIMIT, idle_s=60, clock=lambda: now[0])
    shelf.put("a", "A", 1)
    shelf.put("b", "B", 1)
    now[0] = 50
    assert shelf.get("a") == "A"
    now[0] = 100
    shelf.put("c", "C", 1)
    assert [shelf.get(key) for key in "abc"] == ["A", None, "C"]
