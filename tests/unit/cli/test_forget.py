"""``vramgate users forget``: refuses half measures, then leaves nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cli.errors import CliError
from cli.forget import _forget, delete_outputs, wait_for_recorder
from cli.hosts import Hosts
from cli.options import Ground, read_ground
from dashboard.history.recorder import Recorder
from scheduler.ledger import Pool
from scheduler.redis_ledger import RedisLedger
from store.audit import SqlAudit
from store.documents import SqlDocuments
from store.engine import open_engine
from store.migrate import migrate
from store.outputs import SqlOutputs
from tests.factories import new_job
from tests.unit.cli.place import TOKEN, Place


async def test_outputs_go_from_their_hosts_too(place: Place) -> None:
    mine = await place.made("ann", "a.png", 3, b"x")
    preview = await place.made("ann", "p.png", 3, b"x", "temp")
    bobs = await place.made("bob", "b.png", 3, b"x")
    assert await delete_outputs(SqlOutputs(place.engine), place.hosts, "ann") == 2
    assert (mine.exists(), preview.exists(), bobs.exists()) == (False, False, True)
    assert await place.recorded() == ["b.png"]


async def test_nothing_is_forgotten_of_whom_a_host_that_is_away_still_has_files(
    place: Place,
) -> None:
    await place.made("ann", "a.png", 3, b"x")
    async with Hosts(Pool(now_ms=0), TOKEN) as nobody:
        with pytest.raises(CliError, match="start it, then forget again"):
            await delete_outputs(SqlOutputs(place.engine), nobody, "ann")
    assert await place.recorded() == ["a.png"]


@pytest.fixture
def ground(valkey_url: str, pool_name: str, tmp_path: Path) -> Ground:
    file = tmp_path / "a.yaml"
    file.write_text(
        f"redis: {{url: '{valkey_url}', pool: {pool_name}}}\n"
        f"store: {{url: 'sqlite:///{tmp_path}/s.db'}}\ncluster: {{token: {'t' * 32}}}\n"
    )
    return read_ground(file, tmp_path, environ={})


async def test_a_user_with_unfinished_jobs_is_not_forgotten(
    ground: Ground, ledger: RedisLedger
) -> None:
    await ledger.submit(new_job("ann"), b"{}", max_queued=None)
    with pytest.raises(CliError, match="unfinished jobs"):
        await _forget(ground, "ann")


async def test_that_somebody_was_forgotten_is_known_and_not_who(
    ground: Ground, ledger: RedisLedger, tmp_path: Path
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/s.db")
    await migrate(engine)
    await SqlDocuments(engine, lambda: 1.0).change_settings("ann", {"a": 1})
    gone = await _forget(ground, "ann")
    assert gone == {"user_settings": 1, "files on workers": 0}
    (deed,) = await SqlAudit(engine, lambda: 1.0, str).newest(2**60)
    assert (deed.action, deed.detail) == ("forget", {"user_settings": 1})
    assert "ann" not in deed.subject
    await engine.dispose()


async def test_nobody_is_forgotten_before_the_recorder_has_stored_what_happened(
    ground: Ground, ledger: RedisLedger, tmp_path: Path
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/s.db")
    await migrate(engine)
    await ledger.submit(new_job("ann", id="j1"), b"{}", max_queued=None)
    await ledger.cancel("ann", "j1")
    with pytest.raises(CliError, match="start it"):
        await wait_for_recorder(ledger, patience_s=0.0)
    await Recorder(ledger, engine, time.monotonic).record_once(1)
    await wait_for_recorder(ledger, patience_s=0.0)
    assert "jobs" in await _forget(ground, "ann")
    await engine.dispose()
