"""What a worker offers is asked for now and then, and told to the ledger once it changes."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.ledger import LedgerUnavailable
from worker_agent.inventory import Inventory


class Bench:
    """A clock, a ledger and a worker, as far as an inventory needs them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.takes_s = 0.05
        self.away = False
        self.put: list[str] = []
        self.offer = "a"
        self.ledger = self.client = self
        self.inventory = Inventory(self, "host-0")  # type: ignore[arg-type]

    def clock(self) -> float:
        return self.now

    async def object_info(self) -> dict[str, Any]:
        self.now += self.takes_s
        return {"Load": {"input": {"required": {"name": [[self.offer], {}]}}}}

    async def put_catalogue(self, digest: str, document: bytes) -> None:
        if self.away:
            raise LedgerUnavailable("away")
        self.put.append(digest)

    async def take(self) -> str:
        await self.inventory.take(self)  # type: ignore[arg-type]
        return self.inventory.digest


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_new_offer_is_put_before_it_is_named_and_an_old_one_is_not_put_again(
    bench: Bench,
) -> None:
    first = await bench.take()
    assert await bench.take() == first
    bench.offer = "b"
    second = await bench.take()
    assert bench.put == [first, second]


async def test_a_worker_is_asked_again_after_a_minute(bench: Bench) -> None:
    assert bench.inventory.is_due(busy=True)
    await bench.take()
    assert not bench.inventory.is_due(busy=False)
    bench.now += 61
    assert bench.inventory.is_due(busy=True)


async def test_one_that_answers_slowly_is_asked_seldom_and_only_while_idle(bench: Bench) -> None:
    bench.takes_s = 3.0
    await bench.take()
    bench.now += 299
    assert not bench.inventory.is_due(busy=False)
    bench.now += 2
    assert bench.inventory.is_due(busy=False)
    assert not bench.inventory.is_due(busy=True)


async def test_a_sign_of_change_brings_the_question_forward_but_not_without_end(
    bench: Bench,
) -> None:
    await bench.take()
    bench.inventory.ask_soon()
    assert not bench.inventory.is_due(busy=False)
    bench.now += 10
    assert bench.inventory.is_due(busy=False)


async def test_a_ledger_that_was_away_is_told_later(bench: Bench) -> None:
    bench.away = True
    digest = await bench.take()
    assert bench.put == []
    bench.away = False
    await bench.inventory.put()
    await bench.inventory.put()
    assert bench.put == [digest]
    bench.inventory.put_again()
    await bench.inventory.put()
    bench.now += 3601
    await bench.inventory.put()
    assert bench.put == [digest] * 3
