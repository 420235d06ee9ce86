"""One running gateway per test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scheduler.redis_ledger import RedisLedger
from tests.integration.gateway_prompt.stage import Stage, a_stage


@pytest.fixture
async def stage(ledger: RedisLedger, tmp_path: Path) -> AsyncIterator[Stage]:
    """A gateway with one agent of two workers."""
    async with a_stage(ledger, tmp_path) as running:
        yield running


@pytest.fixture
async def bare_stage(ledger: RedisLedger, tmp_path: Path) -> AsyncIterator[Stage]:
    """A gateway that no worker was ever seen by."""
    async with a_stage(ledger, tmp_path, workers=0) as running:
        yield running
