"""``vramgate migrate``: is everything of this release's form, and bring it there."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.boot import connect_ledger, redis_url
from cli.errors import CliError
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.store_engine import check_store, unread
from scheduler.ledger import LedgerUnavailable


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 1 if something is older.")
    ] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Bring the store's tables and the ledger's keys to this release's form.

    Every role does it when it starts; before an upgrade --check says what it will do.

    [bold]Example[/bold]: vramgate migrate --check
    """
    ground = read_ground(config, data_dir)
    try:
        older = asyncio.run(_migrate(ground, check=check))
    except LedgerUnavailable as error:
        raise CliError(str(error)) from error
    if older and check:
        raise CliError("something is older than this release: `vramgate migrate` changes it")


async def _migrate(ground: Ground, *, check: bool) -> bool:
    """Whether anything is, or was, older than this release."""
    store = await _store(ground, check=check)
    return await _ledger(ground, check=check) or store


async def _store(ground: Ground, *, check: bool) -> bool:
    from sqlalchemy.exc import SQLAlchemyError

    from store.engine import open_engine
    from store.errors import NewerStore
    from store.migrate import head, is_newer, revision
    from store.migrate import migrate as bring_up

    engine = open_engine(check_store(ground))
    try:
        found = await revision(engine)
        if not check:
            await bring_up(engine)
    except NewerStore as error:
        raise CliError(str(error)) from error
    except (SQLAlchemyError, OSError) as error:
        raise unread(error) from error
    finally:
        await engine.dispose()
    newer = found is not None and is_newer(found)
    print(
        f"store    revision {found or 'none'}, this release: {head()}{_done(found, head(), check)}"
    )
    return found != head() and not newer


async def _ledger(ground: Ground, *, check: bool) -> bool:
    from scheduler.redis_layout import LAYOUT, NewerLayout

    settings = ground.source.current()
    ledger = connect_ledger(settings, redis_url(settings, ground.data_dir))
    try:
        found = await ledger.layout()
        if not check or found > LAYOUT:
            await ledger.bring_up()
    except NewerLayout as error:
        raise CliError(str(error)) from error
    finally:
        await ledger.close()
    print(f"ledger   layout {found}, this release: {LAYOUT}{_done(found, LAYOUT, check)}")
    return found < LAYOUT


def _done(found: object, wanted: object, check: bool) -> str:
    return "" if found == wanted or check else "  (done)"
