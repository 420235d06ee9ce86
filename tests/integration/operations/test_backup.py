"""A backup is whole or none, and a restore is whole or does not start; onto another machine, too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from cli.backup import _refuse_occupied as refuse_occupied
from cli.backup import alone
from cli.box import new_box, open_box
from cli.errors import CliError
from cli.half_restored import is_half_restored
from cli.making import make
from cli.manifest import Manifest
from cli.restoring import Restored, Target, restore
from cli.valkey import EmbeddedValkey
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


async def test_what_is_used_or_filled_is_not_replaced_unasked(
    estate: Estate, tmp_path: Path, store_url: str, valkey_url: str, pool_name: str
) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    await refuse_occupied(empty(folder), force=False)
    filled = empty(folder, store_url=store_url)
    with pytest.raises(CliError, match=r"already \(history\).*--force"):
        await refuse_occupied(filled, force=False)
    await refuse_occupied(filled, force=True)
    busy = empty(
        folder,
        redis_url=valkey_url,
        connect=lambda url: RedisLedger.connect(url, pool_name),
    )
    for force in (False, True):
        with pytest.raises(CliError, match="the pool is in use"):
            await refuse_occupied(busy, force=force)
    with alone(folder), pytest.raises(CliError, match="stop it first"), alone(folder):
        pass
