"""Answers are made once for each state, shared by those who ask together, and never too old."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from gateway.answers import Answers, Build
from scheduler.ledger import LedgerUnavailable
from scheduler.ledger_lists import JobEntry, JobHead, Listing


class Ledger:
    """Says what a test tells it to; counts and may hold up the question."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.away = False

    async def changed(self, user: str) -> str:
        self.asked += 1
        name = self.names.get(user, "")
        await self.gate.wait()
        if self.away:
            raise LedgerUnavailable("away")
        return name

    async def stamp(self, user: str) -> None:
        raise NotImplementedError

    async def listing(self, user: str) -> Listing:
        raise NotImplementedError

    async def heads(self, job_ids: Sequence[str]) -> list[JobHead | None]:
        raise NotImplementedError

    async def entry(self, user: str, prompt_id: str) -> JobEntry | None:
        raise NotImplementedError


class Table:
    """Answers over a ledger and a clock of the test's, and what was built."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.now = 0.0
        self.answers = Answers(self.ledger, lambda: self.now)
        self.built: list[bytes] = []

    def build(self, body: bytes) -> Build:
        async def make() -> bytes:
            self.built.append(body)
            return body

        return make

    async def ask(self, body: bytes, user: str = "ann", question: str = "queue") -> bytes:
        return await self.answers.get(user, question, self.build(body))


async def test_an_answer_is_made_once_as_long_as_nothing_changes() -> None:
    table = Table()
    assert [await table.ask(b"1"), await table.ask(b"2")] == [b"1", b"1"]
    table.ledger.names["ann"] = "moved"
    assert [await table.ask(b"3"), await table.ask(b"4")] == [b"3", b"3"]
    assert table.built == [b"1", b"3"]


async def test_users_and_questions_never_share_an_answer() -> None:
    table = Table()
    asked = [("ann", "queue"), ("bob", "queue"), ("ann", "history"), ("ann q", "ueue")]
    bodies = [await table.ask(repr(one).encode(), *one) for one in asked]
    again = [await table.ask(b"x", *one) for one in asked]
    assert bodies == again == [repr(one).encode() for one in asked]


async def test_those_who_ask_together_share_one_question() -> None:
    table = Table()
    assert await asyncio.gather(*(table.ask(b"%d" % n) for n in range(8))) == [b"0"] * 8
    assert table.ledger.asked == 1


async def test_who_comes_while_it_is_being_asked_is_not_answered_from_before() -> None:
    table = Table()
    table.ledger.gate.clear()
    first = asyncio.create_task(table.ask(b"old"))
    await asyncio.sleep(0.01)
    assert table.ledger.asked == 1
    table.ledger.names["ann"] = "moved"  # after the first question, before the second request
    later = [asyncio.create_task(table.ask(b"new")) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert table.ledger.asked == 1
    table.ledger.gate.set()
    assert await first == b"old"
    assert await asyncio.gather(*later) == [b"new"] * 3
    assert table.ledger.asked == 2


async def test_an_answer_is_not_shown_for_ever_even_if_nothing_changes() -> None:
    table = Table()
    await table.ask(b"1")
    table.now = 3600
    assert await table.ask(b"2") == b"2"


async def test_a_ledger_that_is_away_is_told_to_all_and_asked_again() -> None:
    table = Table()
    table.ledger.away = True
    found = await asyncio.gather(*(table.ask(b"1") for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [LedgerUnavailable] * 3
    table.ledger.away = False
    assert await table.ask(b"2") == b"2"


async def test_one_who_goes_away_takes_no_answer_from_the_others() -> None:
    table = Table()
    table.ledger.gate.clear()
    gone, stays = (asyncio.create_task(table.ask(b"1")) for _ in range(2))
    await asyncio.sleep(0.01)
    gone.cancel()
    table.ledger.gate.set()
    assert await stays == b"1"
    with pytest.raises(asyncio.CancelledError):
        await gone
