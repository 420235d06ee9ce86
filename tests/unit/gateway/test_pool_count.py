"""How many prompts of all users are unfinished, for the cap on all of them."""

from __future__ import annotations

from typing import cast

from gateway.pool_count import PoolCount
from scheduler.ledger import Ledger, UserCounts


class Books:
    """As much of a ledger as a count looks at."""

    def __init__(self) -> None:
        self.queued = 3
        self.read = 0
        self.seconds = 100.0

    async def counts(self) -> list[UserCounts]:
        self.read += 1
        return [
            UserCounts(user="ann", queued=self.queued, running=1),
            UserCounts(user="bob", queued=0, running=2),
        ]


def counting() -> tuple[Books, PoolCount]:
    books = Books()
    return books, PoolCount(cast(Ledger, books), lambda: books.seconds)


async def test_queued_and_running_prompts_of_all_users_count() -> None:
    _, count = counting()
    assert await count.against(10) == 6


async def test_far_below_the_limit_it_is_not_counted_for_each_prompt() -> None:
    books, count = counting()
    for _ in range(3):
        await count.against(10)
    assert books.read == 1
    books.seconds += 1
    await count.against(10)
    assert books.read == 2


async def test_what_was_queued_here_counts_at_once() -> None:
    books, count = counting()
    await count.against(8)
    count.accepted()
    count.accepted()
    books.queued += 2
    assert await count.against(8) == 8
    assert books.read == 2


async def test_nobody_is_refused_on_an_old_count() -> None:
    books, count = counting()
    assert await count.against(6) == 6
    books.queued = 0
    assert await count.against(6) == 3
