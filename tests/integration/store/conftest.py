"""A database of each kind, with its tables, and a clock."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine import open_engine
from store.migrate import migrate
from tests.integration.store.databases import postgres_socket as postgres_socket
from tests.integration.store.databases import store_url as store_url


@pytest.fixture
async def engine(store_url: str) -> AsyncIterator[AsyncEngine]:
    """The database with its tables."""
    opened = open_engine(store_url)
    await migrate(opened)
    yield opened
    await opened.dispose()


class Clock:
    """Time that tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()
