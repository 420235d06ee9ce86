"""A store of each kind, a ledger in memory whose time tests move, and whoever looks at rules."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from config.settings import Settings
from dashboard.alerts.watch import Watch
from scheduler.memory_books import Books
from scheduler.memory_ledger import MemoryLedger
from store.alerts import SqlAlerts
from store.engine import open_engine
from store.migrate import migrate
from tests.integration.store.databases import postgres_socket as postgres_socket
from tests.integration.store.databases import store_url as store_url

#: when these tests begin, ms since the epoch
START_MS = 1_800_000_000_000


class Clock:
    """Server time, moved by tests."""

    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms

    def seconds(self) -> float:
        return self.ms / 1000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def engine(store_url: str) -> AsyncIterator[AsyncEngine]:
    opened = open_engine(store_url)
    await migrate(opened)
    yield opened
    await opened.dispose()


@pytest.fixture
def books_ledger(clock: Clock, new_id: Callable[[], str]) -> MemoryLedger:
    return MemoryLedger(Books(clock, new_id))


@pytest.fixture
def new_id() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"id{next(numbers)}"


@pytest.fixture
def alerts(engine: AsyncEngine, clock: Clock, new_id: Callable[[], str]) -> SqlAlerts:
    return SqlAlerts(engine, clock.seconds, new_id)


@pytest.fixture
def watch(
    books_ledger: MemoryLedger, engine: AsyncEngine, new_id: Callable[[], str]
) -> Callable[..., Watch]:
    """Makes one who looks, by settings as in a file."""

    def make(**settings: Any) -> Watch:
        known = Settings.model_validate(settings)
        return Watch(books_ledger, engine, lambda: known, new_id)

    return make
