"""A backup is whole or none; a restore is whole, or nothing starts until it is run again."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from cli.box import open_box
from cli.errors import CliError
from cli.half_restored import refuse_half_restored
from cli.making import STORE
from scheduler.ledger import LedgerUnavailable
from scheduler.redis_ledger import RedisLedger
from tests.integration.operations.conftest import Estate
from tests.integration.operations.test_backup import backup as backup
from tests.integration.operations.test_backup import empty, restored, saved


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """Which database it is makes no difference here."""
    return f"sqlite:///{tmp_path}/store.db"


async def test_nothing_stands_under_its_name_until_it_is_whole(
    estate: Estate, backup: Path
) -> None:
    def cut_off(what: str, _share: float) -> None:
        if what == "uploads":
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        await saved(estate, backup, cut_off)
    with pytest.raises(CliError, match="no such file"):
        open_box(backup)
    await saved(estate, backup)
    assert open_box(backup).manifest.pool == "old"


async def test_a_server_that_goes_away_leaves_no_backup(estate: Estate, tmp_path: Path) -> None:
    gone = RedisLedger.connect(f"unix://{tmp_path}/nobody.sock", "old", patience_s=0.1)
    estate.ledger = gone
    with pytest.raises(LedgerUnavailable):
        await saved(estate, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    await gone.close()


async def test_a_changed_byte_is_found_before_anything_is_replaced(
    estate: Estate, tmp_path: Path
) -> None:
    await saved(estate, tmp_path / "b")
    part = tmp_path / "b" / STORE
    content = bytearray(part.read_bytes())
    content[5000] ^= 1
    part.write_bytes(content)
    folder = tmp_path / "new"
    with pytest.raises(CliError, match=r"store\.db was changed or damaged"):
        await restored(tmp_path / "b", empty(folder))
    assert not (folder / "vramgate.db").exists()
    refuse_half_restored(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pool": "mine"}, "changed or damaged"),
        ({"format": 2}, "newer release"),
        ({"revision": "9999"}, "changed or damaged"),
    ],
)
async def test_a_manifest_that_was_changed_or_is_newer_is_refused(
    estate: Estate, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    await saved(estate, tmp_path / "b")
    file = tmp_path / "b" / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(CliError, match=said):
        open_box(tmp_path / "b")


async def test_a_tar_that_names_files_outside_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        (tmp_path / "x").write_text("x")
        tar.add(tmp_path / "x", "../x")
    with pytest.raises(CliError, match="no whole backup"):
        open_box(tmp_path / "b.tar")


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.integration.operations.test_backup import empty, restored

source, folder, stop = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def said(what, share):
    if f"{what} {share}" == stop:
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(restored(source, empty(folder), said))
"""


@pytest.mark.parametrize("stop", ["queue 0.0", "replacing 0.2", "replacing 0.8"])
async def test_a_restore_that_is_killed_starts_nothing_and_ends_when_it_is_run_again(
    estate: Estate, tmp_path: Path, stop: str
) -> None:
    """Over an older installation, which is kept whole or as it was."""
    folder = tmp_path / "new"
    (folder / "files" / "blobs" / "00").mkdir(parents=True)
    (folder / "files" / "blobs" / "00" / "old").write_text("old")
    with closing(sqlite3.connect(folder / "vramgate.db")) as old:
        old.execute("CREATE TABLE old (x)")
    await saved(estate, tmp_path / "b")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _KILLED, str(tmp_path / "b"), str(folder), stop
    )
    assert await child.wait() == -signal.SIGKILL
    if stop == "queue 0.0":
        refuse_half_restored(folder)
        assert (folder / "files" / "blobs" / "00" / "old").exists()
    else:
        with pytest.raises(CliError, match="was cut off"):
            refuse_half_restored(folder)
    await restored(tmp_path / "b", empty(folder))
    refuse_half_restored(folder)
    assert (folder / "before" / "files" / "blobs" / "00" / "old").read_text() == "old"
    with closing(sqlite3.connect(folder / "before" / "vramgate.db")) as before:
        assert before.execute("SELECT count(*) FROM old").fetchone() == (0,)
    with closing(sqlite3.connect(folder / "vramgate.db")) as now:
        assert now.execute("SELECT count(*) FROM user_settings").fetchone() == (1,)


async def test_settings_of_another_machine_are_only_put_beside(
    estate: Estate, tmp_path: Path
) -> None:
    (estate.folder / "vramgate.yaml").write_text("redis: {url: 'redis://production'}\n")
    await saved(estate, tmp_path / "b")
    done = await restored(tmp_path / "b", empty(tmp_path / "new"))
    assert done.config == tmp_path / "new" / "vramgate.restored.yaml"


def mode_of(path: Path) -> int:
    return path.stat().st_mode


async def test_its_owner_alone_reads_it_and_it_says_what_is_secret(
    estate: Estate, backup: Path
) -> None:
    manifest = await saved(estate, backup)
    secret = {name for name, part in manifest.parts.items() if part.secret}
    assert secret == {
        "store.db",
        "ledger.msgpack",
        "config/vramgate.yaml",
        "config/cluster.token",
    }
    assert mode_of(backup) & 0o077 == 0
