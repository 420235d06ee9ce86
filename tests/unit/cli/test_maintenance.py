"""``vramgate maintenance``: when it ends, and that what is said gets there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.boot import LiveSettings
from cli.errors import UsageError
from cli.maintenance import _end, _put
from cli.options import read_ground
from config.maintenance import Maintenance
from scheduler.redis_ledger import RedisLedger
from store.audit import SqlAudit
from store.engine import open_engine

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "hour", "minute"),
    [("2h", 14, 0), ("90m", 13, 30), ("2026-11-30T18:00:00+01:00", 17, 0)],
)
def test_an_end_is_a_time_or_a_duration(text: str, hour: int, minute: int) -> None:
    assert _end(text, NOW) == NOW.replace(hour=hour, minute=minute)


@pytest.mark.parametrize("text", ["soon", "2026-11-30T11:00:00+00:00", "0s", ""])
def test_what_is_no_time_to_come_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        _end(text, NOW)


async def test_it_is_in_force_for_every_role_and_written_down(
    valkey_url: str, pool_name: str, ledger: RedisLedger, tmp_path: Path
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        f"redis: {{url: '{valkey_url}', pool: {pool_name}}}\n"
        f"store: {{url: 'sqlite:///{tmp_path}/s.db'}}\n"
    )
    ground = read_ground(file, tmp_path, environ={})
    await _put(ground, Maintenance(enabled=True, message="new disks", until=NOW))
    live = LiveSettings(ground)
    assert not live().maintenance.enabled
    await live.read(ledger)
    assert live().maintenance == Maintenance(enabled=True, message="new disks", until=NOW)
    await _put(ground, Maintenance())
    await live.read(ledger)
    assert not live().maintenance.enabled
    engine = open_engine(f"sqlite:///{tmp_path}/s.db")
    deeds = await SqlAudit(engine, lambda: 1.0, str).newest(2**53)
    assert [deed.detail["enabled"] for deed in deeds] in ([False, True], [True, False])
    await engine.dispose()
