"""``vramgate backup`` and ``vramgate restore``: everything that cannot be had again, in one place."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.boot import connect_ledger, store_url, token_file
from cli.errors import CliError
from cli.half_restored import is_half_restored
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.runstate import read_state, run_dir
from scheduler.ledger import LedgerUnavailable

if TYPE_CHECKING:
    from cli.making import Said
    from cli.manifest import Manifest
    from cli.restoring import Restored, Target
    from scheduler.redis_ledger import RedisLedger


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="DIR|FILE.tar", help="A new folder, or a new .tar file.")
    ],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Save queue, history, keys, profiles, uploads and settings, while everything runs on.

    It holds people's texts, key hashes and the cluster's token: keep it as you keep the data
    folder. Outputs lie with the ComfyUIs that made them (docs/operations.md).

    [bold]Example[/bold]: vramgate backup /mnt/backups/vramgate-monday.tar
    """
    ground = read_ground(config, data_dir)
    with _bar() as said:
        try:
            manifest = asyncio.run(_backup(ground, target.absolute(), said))
        except (LedgerUnavailable, OSError) as error:
            raise CliError(f"there is no backup: {error}") from error
    for what, count in manifest.counts.items():
        print(f"{count:8} {what}")
    size = sum(part.bytes for part in manifest.parts.values())
    print(f"{target}: {size / 2**20:.1f} MiB, {len(manifest.parts)} parts")
    print("secrets are in it; its owner alone may read it", file=sys.stderr)


def restore(
    source: Annotated[Path, typer.Argument(metavar="DIR|FILE.tar", help="What `backup` wrote.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also where there are jobs, users or history already.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only prove that it is whole.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Put a backup in the place of this installation, which must not run.

    What was there before is moved to a folder beside it. Prompts that ran when the backup was
    made run again. It works onto another machine, and from SQLite to PostgreSQL or back.

    [bold]Example[/bold]: vramgate restore /mnt/backups/vramgate-monday.tar
    """
    from cli.box import open_box, take_out
    from cli.manifest import secrets_in

    ground = read_ground(config, data_dir)
    box = open_box(source)
    made = box.manifest
    print(f"made {made.made_at} by vramgate {made.version}, pool {made.pool}", file=sys.stderr)
    with _bar() as said:
        if check:
            for number, name in enumerate(made.parts):
                said("checking", number / len(made.parts))
                take_out(box, name, None)
        else:
            try:
                restored = asyncio.run(_restore(ground, source, said, force=force))
            except LedgerUnavailable as error:
                raise CliError(f"not restored, run it again: {error}") from error
    if check:
        print(f"{source}: whole; secrets in {', '.join(secrets_in(made.parts))}")
        return
    print(f"restored; {restored.jobs} prompts wait or run again")
    if restored.aside is not None:
        print(f"what was there before: {restored.aside} (delete it when all is well)")
    if restored.config is not None:
        print(f"settings: {restored.config}")


# ── backup ───────────────────────────────────────────────────────────────────


async def _backup(ground: Ground, target: Path, said: Said) -> Manifest:
    from cli.box import new_box
    from cli.making import make
    from store.engine import open_engine

    settings = ground.source.current()
    engine = open_engine(store_url(settings, ground.data_dir))
    try:
        async with _ledger_of(ground) as ledger:
            return await make(
                new_box(target),
                ledger=ledger,
                engine=engine,
                files=ground.data_dir / "files",
                config=ground.loaded.file,
                token=settings.cluster.token_file or token_file(ground.data_dir),
                pool=settings.redis.pool,
                said=said,
            )
    finally:
        await engine.dispose()


@asynccontextmanager
async def _ledger_of(ground: Ground) -> AsyncIterator[RedisLedger]:
    """The ledger; of an installation that is stopped its server is started for a moment."""
    from cli.valkey import EmbeddedValkey, ValkeyError

    settings, state = ground.source.current(), read_state(ground.data_dir)
    url = settings.redis.url or (state.redis if state is not None else None)
    with contextlib.ExitStack() as running:
        if url is None:
            folder = ground.data_dir / "valkey"
            if not folder.exists():
                raise CliError(f"nothing to save: {ground.data_dir} has no installation")
            try:
                url = running.enter_context(EmbeddedValkey(folder)).url
            except ValkeyError as error:
                raise CliError(str(error)) from error
        ledger = connect_ledger(settings, url)
        try:
            yield ledger
        finally:
            await ledger.close()


# ── restore ──────────────────────────────────────────────────────────────────


async def _restore(ground: Ground, source: Path, said: Said, *, force: bool) -> Restored:
    from cli.box import open_box
    from cli.restoring import restore as put_in_place

    target = _target(ground)
    with alone(ground.data_dir):
        await _refuse_occupied(target, force=force)
        aside = f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%S}"
        return await put_in_place(open_box(source), source, target, aside, said)


def _target(ground: Ground) -> Target:
    from cli.restoring import Target

    settings = ground.source.current()
    named = settings.cluster.token or settings.cluster.token_file
    return Target(
        data_dir=ground.data_dir,
        redis_url=settings.redis.url,
        store_url=store_url(settings, ground.data_dir),
        connect=lambda url: connect_ledger(settings, url),
        keeps_token=named is not None,
        has_config=ground.loaded.file is not None,
    )


async def _refuse_occupied(target: Target, *, force: bool) -> None:
    """Raises CliError where something runs, or is there and may not be replaced."""
    there = await _what_is_there(target)
    if there and not force and not is_half_restored(target.data_dir):
        raise CliError(
            f"there is something already ({', '.join(there)}): restore into another --data-dir, or "
            "say --force to replace it (it is moved aside, but for what lies on servers)"
        )


async def _what_is_there(target: Target) -> list[str]:
    found = []
    if target.redis_url is None:
        found += ["a queue"] if (target.data_dir / "valkey").exists() else []
    else:
        ledger = target.connect(target.redis_url)
        try:
            occupied = await ledger.occupied()
        finally:
            await ledger.close()
        if occupied.by:
            raise CliError(f"the pool is in use ({occupied.by}): stop everything, then restore")
        found += ["a queue"] if occupied.filled else []
    if any((target.data_dir / "files" / "blobs").glob("??/*")):
        found.append("uploads")
    if await _has_history(target):
        found.append("history")
    return found


async def _has_history(target: Target) -> bool:
    from store.copying import is_empty
    from store.engine import open_engine

    if target.database is not None:
        return target.database.exists()
    engine = open_engine(target.store_url)
    try:
        return not await is_empty(engine)
    finally:
        await engine.dispose()


@contextlib.contextmanager
def alone(data_dir: Path) -> Iterator[None]:
    """Hold the data folder, as `up` does while it runs.

    Raises:
        CliError: something runs there.
    """
    run_dir(data_dir).mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(run_dir(data_dir) / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise CliError(
            f"vramgate runs on {data_dir}: stop it first (--force does not), then restore"
        ) from error
    try:
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _bar() -> Iterator[Said]:
    """A bar on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=1.0)

        def said(what: str, share: float) -> None:
            progress.update(task, description=what, completed=share)

        yield said
