"""A store of each kind, with its tables, and a ledger in memory."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scheduler.memory_books import Books
from scheduler.memory_ledger import MemoryLedger
from store.engine import open_engine
from store.migrate import migrate
from tests.integration.store.databases import postgres_socket as postgres_socket
from tests.integration.store.databases import store_url as store_url


@pytest.fixture
async def engine(store_url: str) -> AsyncIterator[AsyncEngine]:
    opened = open_engine(store_url)
    await migrate(opened)
    yield opened
    await opened.dispose()


@pytest.fixture
def books_ledger() -> MemoryLedger:
    return MemoryLedger(Books(lambda: time.time_ns() // 1_000_000, str))
