"""The agent under test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from scheduler.redis_ledger import RedisLedger
from tests.integration.worker_agent.bed import Bed, fake_spec, make_agent, running


@pytest.fixture
async def bed(ledger: RedisLedger, tmp_path: Path) -> AsyncIterator[Bed]:
    """An agent with one fake worker, up and ready."""
    specs = [fake_spec(tmp_path)]
    agent = make_agent(ledger, tmp_path, specs)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        yield bed


@pytest.fixture
def go(tmp_path: Path) -> Callable[[], None]:
    """Lets what the fake worker holds (``Held``, ``Stuck``) go on."""

    def touch() -> None:
        (tmp_path / "worker0").mkdir(exist_ok=True)
        (tmp_path / "worker0/go").touch()

    return touch
