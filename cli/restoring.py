"""Puts a backup in the place of an installation: all of it proven before anything is replaced.

Everything is prepared in a folder beside the data (``restore.part``). Then a note
(``restore.json``) is written, and the parts change places; what was there before is kept in
a folder of its own. A restore that is cut off before the note has changed nothing; after it
nothing starts on that folder (``refuse_half_restored``) until the restore has been run again,
which does all of it anew and comes to the same.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.box import OpenedBox, take_out
from cli.errors import CliError
from cli.half_restored import NOTE
from cli.ledger_file import read_keys
from cli.making import CONFIG, LEDGER, STORE, TOKEN, Said
from cli.valkey import EmbeddedValkey
from config.loading import load
from config.problems import ConfigError
from scheduler.backup_keys import Books, mend
from scheduler.redis_layout import LAYOUT
from scheduler.redis_ledger import RedisLedger
from store.copying import copy_in, ended_jobs, prove
from store.engine import open_engine
from store.errors import StoreError
from store.migrate import is_newer, migrate

_STAGE: Final = "restore.part"
_OURS: Final = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a backup goes."""

    data_dir: Path
    #: the server to fill; None: the embedded one of the data folder
    redis_url: str | None
    #: the database to fill
    store_url: str
    #: a ledger of the pool on a server
    connect: Callable[[str], RedisLedger]
    #: False: the token of the backup becomes the data folder's
    keeps_token: bool
    #: True: there is a file of settings already, which stays
    has_config: bool

    @property
    def database(self) -> Path | None:
        """The SQLite file; None: the store is on a server."""
        kind, _, place = self.store_url.partition(":///")
        return Path(place) if kind == "sqlite" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What came of it."""

    jobs: int
    #: where everything that was there before lies now; None: there was nothing
    aside: Path | None
    #: where the backup's file of settings was put; None: it has none
    config: Path | None


async def restore(box: OpenedBox, source: Path, target: Target, aside: str, said: Said) -> Restored:
    """Prove a backup, prepare it, and put it in place.

    Args:
        box: the backup.
        source: its name, for whoever has to do it again.
        target: nothing may run there.
        aside: name of the folder that what was there before is moved to.
        said: told how far it is.

    Raises:
        CliError: the backup cannot be used; nothing was changed.
        LedgerUnavailable: the server went away; do it again.
    """
    _check(box)
    stage = target.data_dir / _STAGE
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True, mode=0o700)
    _unpack(box, stage, said)
    ended = await _prepare_store(stage / STORE)
    books = Books.of(read_keys(stage / LEDGER), ended)
    with ExitStack() as running:
        if target.redis_url is None:
            said("queue", 0.0)
            server = running.enter_context(EmbeddedValkey(stage / "valkey"))
            await _fill(target.connect(server.url), stage, books)
    kept = _begin(target.data_dir, source, aside)
    said("replacing", 0.0)
    await _replace(stage, target, kept, books, said)
    config = _place_config(stage, target)
    (target.data_dir / NOTE).unlink()
    shutil.rmtree(stage)
    said("done", 1.0)
    return Restored(jobs=books.unfinished(), aside=kept if kept.exists() else None, config=config)


def _check(box: OpenedBox) -> None:
    manifest = box.manifest
    if manifest.layout > LAYOUT or is_newer(manifest.revision):
        raise CliError(
            f"the backup was made by a newer release (vramgate {manifest.version}): install that "
            "release, then restore"
        )
    missing = {STORE, LEDGER} - manifest.parts.keys()
    if missing:
        raise CliError(f"the backup has no {', '.join(sorted(missing))}: take another one")


def _unpack(box: OpenedBox, stage: Path, said: Said) -> None:
    whole = max(sum(part.bytes for part in box.manifest.parts.values()), 1)
    done = 0
    for name, part in sorted(box.manifest.parts.items()):
        said("checking", done / whole)
        take_out(box, name, stage / name)
        done += part.bytes


async def _prepare_store(file: Path) -> set[str]:
    """Bring the store's copy to this release's schema; jobs that it says have ended."""
    try:
        await prove(file)
    except StoreError as error:
        raise CliError(str(error)) from error
    engine = open_engine(f"sqlite:///{file}")
    try:
        await migrate(engine)
    finally:
        await engine.dispose()
    return await ended_jobs(file)


async def _fill(ledger: RedisLedger, stage: Path, books: Books) -> None:
    try:
        await ledger.clear()
        await ledger.put_kept(mend(read_keys(stage / LEDGER), books))
    finally:
        await ledger.close()


def _begin(data_dir: Path, source: Path, aside: str) -> Path:
    """Write the note; the folder for what was there. It stays that of an earlier try."""
    note = data_dir / NOTE
    if note.exists():
        aside = str(json.loads(note.read_text())["aside"])
    fresh = note.with_suffix(".new")
    fresh.write_text(json.dumps({"source": str(source.absolute()), "aside": aside}))
    os.replace(fresh, note)
    return data_dir / aside


async def _replace(stage: Path, target: Target, aside: Path, books: Books, said: Said) -> None:
    (stage / "files").mkdir(exist_ok=True)
    _swap(stage / "files", target.data_dir / "files", aside)
    said("replacing", 0.2)
    if target.redis_url is None:
        _swap(stage / "valkey", target.data_dir / "valkey", aside)
    else:
        await _fill(target.connect(target.redis_url), stage, books)
    said("replacing", 0.4)
    if not target.keeps_token and (stage / TOKEN).exists():
        _swap(stage / TOKEN, target.data_dir / "cluster.token", aside)
    said("replacing", 0.6)
    database = target.database
    if database is None:
        engine = open_engine(target.store_url)
        try:
            await copy_in(stage / STORE, engine)
        finally:
            await engine.dispose()
        return
    # the old one's log beside it must not be taken for the new one's
    for suffix in ("-wal", "-shm"):
        beside = database.with_name(database.name + suffix)
        if beside.exists():
            _put_aside(beside, aside)
    said("replacing", 0.8)
    _swap(stage / STORE, database, aside)


def _swap(fresh: Path, place: Path, aside: Path) -> None:
    if place.exists():
        _put_aside(place, aside)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(fresh, place)


def _put_aside(place: Path, aside: Path) -> None:
    """Once: what an earlier try has put there is no loss."""
    kept = aside / place.name
    if kept.exists():
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()
        return
    aside.mkdir(mode=0o700, exist_ok=True)
    shutil.move(place, kept)


def _place_config(stage: Path, target: Target) -> Path | None:
    """The settings of the backup: in force where there are none and they fit, else to look at.

    Servers and folders in them are those of the machine that it was made on.
    """
    file = stage / CONFIG
    if not file.exists():
        return None
    fits = not target.has_config and _fits(file)
    place = target.data_dir / ("vramgate.yaml" if fits else "vramgate.restored.yaml")
    shutil.copyfile(file, place)
    place.chmod(_OURS)
    return place


def _fits(file: Path) -> bool:
    try:
        settings = load(file, environ={}).settings
    except ConfigError:
        return False
    return settings.data_dir is None and settings.redis.url is None and settings.store.url is None
