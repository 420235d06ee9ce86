"""A backup is whole or none, and a restore is whole or does not start; onto another machine, too."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from cli.box import new_box, open_box
from cli.errors import CliError
from cli.half_restored import is_half_restored, refuse_half_restored
from cli.making import STORE, make
from cli.manifest import Manifest
from cli.restoring import Restored, Target, restore
from cli.valkey import EmbeddedValkey
from scheduler.ledger import LedgerUnavailable
from scheduler.redis_ledger import RedisLedger
from store.documents import SqlDocuments
from store.engine import open_engine
from tests.integration.operations.conftest import PICTURE, TOKEN, Estate, settle

Said = Callable[[str, float], None]


def silent(_what: str, _share: float) -> None:
    """Nobody looks."""


async def saved(estate: Estate, target: Path, said: Said = silent) -> Manifest:
    return await make(
        new_box(target),
        ledger=estate.ledger,
        engine=estate.engine,
        files=estate.files,
        config=estate.folder / "vramgate.yaml",
        token=estate.folder / "cluster.token",
        pool="old",
        said=said,
    )


def empty(folder: Path, **changes: object) -> Target:
    """A machine of its own, with a server and a database of its own."""
    values: dict[str, object] = {
        "data_dir": folder,
        "redis_url": None,
        "store_url": f"sqlite:///{folder / 'vramgate.db'}",
        "connect": lambda url: RedisLedger.connect(url, "new", patience_s=2),
        "keeps_token": False,
        "has_config": False,
    }
    return Target(**{**values, **changes})  # type: ignore[arg-type]


async def restored(source: Path, target: Target, said: Said = silent) -> Restored:
    return await restore(open_box(source), source, target, "before", said)


@pytest.fixture(params=["b.tar", "b"])
def backup(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


async def test_it_comes_to_life_on_another_machine(
    estate: Estate, backup: Path, tmp_path: Path
) -> None:
    manifest = await saved(estate, backup)
    assert manifest.counts == {"jobs in the ledger": 4, "profiles": 1, "uploads": 1}
    folder = tmp_path / "new"
    done = await restored(backup, empty(folder))
    assert (done.jobs, done.aside, done.config) == (3, None, folder / "vramgate.yaml")
    with EmbeddedValkey(folder / "valkey") as server:
        ledger = RedisLedger.connect(server.url, "new")
        assert {job.id for job in await ledger.unfinished("ann")} == {
            estate.queued,
            estate.running,
        }
        assert await ledger.prompts([estate.queued]) == [b"prompt of queued"]
        assert (await ledger.overrides())[1]["users.ann.key_hash"] == '"blake2b:00"'
        await ledger.close()
    engine = open_engine(f"sqlite:///{folder / 'vramgate.db'}")
    assert await SqlDocuments(engine, lambda: 1.0).settings("ann") == {"a": 1}
    await engine.dispose()
    (blob,) = (folder / "files" / "blobs").glob("??/*")
    assert blob.read_bytes() == PICTURE
    assert (folder / "cluster.token").read_text() == TOKEN
    assert not (folder / "restore.part").exists()
    assert not is_half_restored(folder)


async def test_from_one_kind_of_database_to_the_other_and_onto_a_server(
    estate: Estate, tmp_path: Path, store_url: str, valkey_url: str, pool_name: str
) -> None:
    """What is on servers is replaced there; the pool may have another name."""
    await saved(estate, tmp_path / "b")
    await SqlDocuments(estate.engine, lambda: 1.0).change_settings("late", {"b": 2})
    await estate.ledger.override({"late": "1"})
    target = empty(
        tmp_path / "new",
        redis_url=valkey_url,
        store_url=store_url,
        connect=lambda url: RedisLedger.connect(url, pool_name),
    )
    await estate.engine.dispose()
    done = await restored(tmp_path / "b", target)
    assert done.jobs == 3
    assert "late" not in (await estate.ledger.overrides())[1]
    documents = SqlDocuments(estate.engine, lambda: 1.0)
    assert await documents.settings("ann") == {"a": 1}
    assert await documents.settings("late") == {}


async def test_what_settles_meanwhile_is_settled_once(estate: Estate, tmp_path: Path) -> None:
    """Recorded before the store is copied: it has ended there, and does not run again."""

    async def record(job_id: str) -> None:
        async with estate.engine.begin() as connection:
            columns = await connection.run_sync(_columns)
            values = {name: _zero(kind) for name, kind in columns.items()} | {"id": job_id}
            names = ", ".join(values)
            marks = ", ".join(f":{name}" for name in values)
            await connection.execute(text(f"INSERT INTO jobs ({names}) VALUES ({marks})"), values)

    running = await estate.job(estate.running)
    assert running is not None
    box = new_box(tmp_path / "b")
    kept = estate.ledger.kept

    class Ledger:
        async def kept(self):
            async for key in kept():
                yield key
            await settle(estate.ledger, running)
            await record(running.id)

    await make(
        box,
        ledger=Ledger(),  # type: ignore[arg-type]
        engine=estate.engine,
        files=estate.files,
        config=None,
        token=None,
        pool="old",
        said=silent,
    )
    done = await restored(tmp_path / "b", empty(tmp_path / "new"))
    assert done.jobs == 2


def _columns(connection) -> dict[str, str]:
    from sqlalchemy import inspect

    return {
        column["name"]: str(column["type"])
        for column in inspect(connection).get_columns("jobs")
        if not column["nullable"]
    }


def _zero(kind: str) -> object:
    return "" if kind == "TEXT" else False if kind == "BOOLEAN" else 0


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
