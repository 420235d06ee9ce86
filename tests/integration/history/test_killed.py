"""Kill −9 of the recorder, or of the store's server, in the middle: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from scheduler.redis_ledger import RedisLedger
from store import history_schema as history
from tests.integration.history.probe_words import node, told

_RECORDS = 20_000
_EACH = 100


class Role:
    """``vramgate recorder`` as a process that is killed and started again."""

    def __init__(self, config: Path, data_dir: Path, log: Path) -> None:
        self._words = ["--config", str(config), "--data-dir", str(data_dir)]
        self._log = log
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "cli.main", "recorder", *self._words],
                stdout=log,
                stderr=log,
            )

    def restart(self) -> None:
        self.kill()
        self.process = self._start()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


async def count(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(
            await connection.scalar(select(func.count()).select_from(history.node_runs)) or 0
        )


async def tell_all(ledger: RedisLedger) -> None:
    for first in range(0, _RECORDS, _EACH):
        records = [node(seq, str(seq)) for seq in range(first, first + _EACH)]
        assert await ledger.tell(told(*records))
        await asyncio.sleep(0.005)


async def cut_off(engine: AsyncEngine) -> None:
    """End all other connections in whatever they are doing, as a killed server would."""
    with suppress(Exception):
        async with engine.begin() as connection:
            await connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )


@pytest.mark.timeout(180)
async def test_nothing_is_lost_whoever_is_killed(
    ledger: RedisLedger,
    engine: AsyncEngine,
    store_url: str,
    valkey_url: str,
    pool_name: str,
    tmp_path: Path,
) -> None:
    config = tmp_path / "a.yaml"
    config.write_text(
        f"redis: {{url: '{valkey_url}', pool: {pool_name}}}\nstore: {{url: '{store_url}'}}\n"
    )
    role = Role(config, tmp_path / "data", tmp_path / "log")
    rng = Random(5)
    telling = asyncio.create_task(tell_all(ledger))
    try:
        for _ in range(4):
            before = await count(engine)
            async with asyncio.timeout(60):
                while await count(engine) == before and not telling.done():
                    await asyncio.sleep(0.05)
            await asyncio.sleep(rng.random() / 4)
            role.restart()
            if engine.dialect.name == "postgresql":
                await cut_off(engine)
        await telling
        async with asyncio.timeout(90):
            while await count(engine) < _RECORDS:
                await asyncio.sleep(0.1)
    finally:
        telling.cancel()
        role.kill()
    assert await count(engine) == _RECORDS
    assert await ledger.told("somebody else", 1, 10) == []
