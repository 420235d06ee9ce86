"""What is kept, and what has to go."""

from __future__ import annotations

from gateway.shelf import Shelf


def test_the_least_recently_used_goes_first() -> None:
    shelf: Shelf[str] = Shelf(30)
    shelf.put("a", "A", 10)
    shelf.put("b", "B", 10)
    shelf.put("c", "C", 10)
    assert shelf.get("a") == "A"
    shelf.put("d", "D", 10)
    assert [shelf.get(key) for key in "abcd"] == ["A", None, "C", "D"]


def test_a_value_put_anew_counts_once() -> None:
    shelf: Shelf[str] = Shelf(30)
    for _ in range(10):
        shelf.put("a", "A", 10)
    shelf.put("b", "B", 10)
    shelf.put("c", "C", 10)
    assert [shelf.get(key) for key in "abc"] == ["A", "B", "C"]


def test_one_that_would_push_out_most_others_is_not_kept_nor_its_older_self() -> None:
    shelf: Shelf[str] = Shelf(30)
    shelf.put("a", "A", 10)
    shelf.put("a", "AAAA", 20)
    assert shelf.get("a") is None
    shelf.put("b", "B", 15)
    assert shelf.get("b") == "B"
