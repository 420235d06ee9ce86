"""A client that follows one prompt at a time hears of one at a time, and of each all that counts."""

from __future__ import annotations

from gateway.outbox import Frame
from gateway.turns import Turns


def said(word: str, key: str | None = None) -> Frame:
    return Frame(word.encode(), key=key)


class Line:
    """A socket that notes what is sent."""

    def __init__(self, most_bytes: int = 1000) -> None:
        self.sent: list[str] = []
        self.turns = Turns(
            lambda frame: self.sent.append(frame.body.decode()), most_bytes=most_bytes
        )

    def put(
        self, word: str, *, last: bool = False, key: str | None = None, own: bool = True
    ) -> None:
        """``a1``: the first word of job a."""
        self.turns.put(said(word, key), word[0], last=last, own=own)


def test_a_job_that_starts_later_is_told_when_the_first_has_ended() -> None:
    line = Line()
    for word in ("a1", "b1", "a2", "b2"):
        line.put(word)
    assert line.sent == ["a1", "a2"]
    line.put("a3", last=True)
    assert line.sent == ["a1", "a2", "a3", "b1", "b2"]
    line.put("b3", last=True)
    line.put("c1")
    assert line.sent[-2:] == ["b3", "c1"]


def test_one_that_ended_while_it_waited_is_told_whole_and_the_next_follows() -> None:
    line = Line()
    line.put("a1")
    line.put("c1")
    line.put("b1")
    line.put("b2", last=True)
    line.put("c2", last=True)
    line.put("a2", last=True)
    assert line.sent == ["a1", "a2", "c1", "c2", "b1", "b2"]
    line.put("d1")
    assert line.sent[-1] == "d1"


def test_of_steps_and_previews_that_wait_the_newest_is_kept() -> None:
    line = Line()
    line.put("a1")
    line.put("b1")
    for step in range(2, 6):
        line.put(f"b{step}", key="step")
    line.put("b6")
    line.put("a2", last=True)
    assert line.sent == ["a1", "a2", "b1", "b5", "b6"]


def test_what_cannot_wait_any_longer_is_told_as_it_runs() -> None:
    line = Line(most_bytes=10)
    line.put("a1")
    line.put("b" * 8)
    assert line.sent == ["a1"]
    line.put("bbb")
    assert line.sent == ["a1", "b" * 8, "bbb"]


def test_bytes_that_were_told_no_longer_count() -> None:
    line = Line(most_bytes=10)
    for _ in range(5):
        line.put("a1")
        line.put("b" * 8)
        line.put("a2", last=True)
        line.put("b2", last=True)
    line.put("a1")
    line.put("b" * 8)
    assert line.sent[-1] == "a1"


def test_a_job_whose_end_never_comes_holds_up_the_others_until_nothing_runs() -> None:
    line = Line()
    line.put("a1")
    line.put("b1")
    line.put("b2", last=True)
    line.turns.flush()
    assert line.sent == ["a1", "b1", "b2"]
    line.put("c1")
    line.put("c2")
    assert line.sent[-2:] == ["c1", "c2"]


def test_counts_wait_for_a_job_that_has_ended_unheard() -> None:
    line = Line()
    line.put("a1")
    line.put("b1")
    line.turns.put_count(said("count 2"))
    line.turns.ending("b")
    line.turns.put_count(said("count 1"))
    line.put("b2", last=True)
    line.turns.put_count(said("count 2 again"))
    line.put("c1")
    assert line.sent == ["a1", "count 2"]
    line.turns.ending("a")
    line.turns.put_count(said("count 1 again"))
    line.put("a2", last=True)
    assert line.sent[2:] == ["a2", "b1", "b2", "c1", "count 1 again"]
    line.turns.ending("c")
    line.turns.put_count(said("count 0"))
    line.put("c2", last=True)
    assert line.sent[-2:] == ["count 0", "c2"]


def test_a_job_whose_end_is_on_its_way_takes_its_turn_first() -> None:
    line = Line()
    line.put("a1")
    line.put("b1")
    line.turns.ending("b")
    line.turns.put_count(said("count 1"))
    line.put("a2", last=True)
    assert line.sent == ["a1", "a2", "b1"]
    line.put("b2", last=True)
    assert line.sent == ["a1", "a2", "b1", "b2", "count 1"]


def test_when_nothing_runs_no_count_waits() -> None:
    line = Line()
    line.put("a1")
    line.turns.ending("b")
    line.turns.put_count(said("count 0"))
    line.turns.flush()
    assert line.sent == ["a1", "count 0"]


def test_a_job_that_named_no_client_holds_up_none_that_did() -> None:
    line = Line()
    line.put("x1", own=False)
    line.put("a1")
    line.put("x2", own=False)
    line.put("y1", own=False)
    line.put("b1")
    assert line.sent == ["x1", "a1"]
    line.put("a2", last=True)
    assert line.sent[2:] == ["a2", "b1"]
    line.put("b2", last=True)
    assert line.sent[4:] == ["b2", "x2"]
    line.put("x3", last=True, own=False)
    assert line.sent[6:] == ["x3", "y1"]


def test_a_job_that_goes_back_to_the_queue_gives_its_turn_away() -> None:
    line = Line()
    line.put("a1")
    line.put("b1")
    line.turns.ending("b")
    line.put("b2", last=True)
    line.put("c1")
    line.turns.give_up("a")
    assert line.sent == ["a1", "b1", "b2", "c1"]
    line.put("a1")
    line.put("c2", last=True)
    assert line.sent[4:] == ["c2", "a1"]


def test_what_waits_of_a_job_that_goes_back_takes_no_turn_until_more_is_said() -> None:
    line = Line()
    line.put("a1")
    line.put("b1")
    line.turns.give_up("b")
    line.put("c1")
    line.put("a2", last=True)
    assert line.sent == ["a1", "a2", "b1", "c1"]
    line.put("b1")
    line.turns.give_up("b")
    line.put("b2")
    line.put("d1")
    line.put("c2", last=True)
    assert line.sent[4:] == ["c2", "b1", "b2"]
