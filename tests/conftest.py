"""Fixtures shared by all tests: a real server per xdist worker, a fresh ledger per test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cli.valkey import EmbeddedValkey
from scheduler.redis_ledger import RedisLedger


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real embedded server; tests share it and keep apart by pool."""
    folder: Path = tmp_path_factory.mktemp("valkey")
    with EmbeddedValkey(folder) as server:
        yield server.url


@pytest.fixture
def pool_name() -> str:
    """A pool that no other test has."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture
async def ledger(valkey_url: str, pool_name: str) -> AsyncIterator[RedisLedger]:
    """A ledger on a fresh pool of the real server.

    Agents that tests play report once: they count as alive for as long as a test may take.
    """
    connected = RedisLedger.connect(valkey_url, pool_name, heartbeat_ms=600_000)
    yield connected
    await connected.close()
