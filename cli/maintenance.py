"""``vramgate maintenance``: let new prompts wait while somebody works on the pool."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from getpass import getuser
from typing import Annotated

import typer

from cli.boot import LiveSettings, connect_ledger, redis_url
from cli.errors import CliError, UsageError
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.pool_calls import with_ledger
from cli.store_engine import opened_store
from config.edits import MAINTENANCE
from config.maintenance import Maintenance
from config.values import parse_seconds
from scheduler.ledger import Ledger, LedgerUnavailable

app = typer.Typer(
    no_args_is_help=True,
    help="Let new prompts wait while somebody works on the pool.\n\nThey are taken and keep their "
    "places; what runs ends. Everybody who waits reads why, and the dashboard says it.",
)


@app.command()
def on(
    message: Annotated[
        str, typer.Option("--message", "-m", help="Why, for everybody who waits.")
    ] = "",
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME|DURATION",
            help="When it ends by itself: 2026-11-30T18:00 (this machine's time), or 2h.",
        ),
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Start nothing new from now on.

    [bold]Example[/bold]: vramgate maintenance on -m "new disks" --until 2h
    """
    if len(message) > 300:
        raise UsageError("--message may have 300 characters")
    end = None if until is None else _end(until, datetime.now(UTC))
    wanted = Maintenance(enabled=True, message=message, until=end)
    _switch(read_ground(config, data_dir), wanted)
    print("nothing new starts" + (f" until {end.astimezone():%Y-%m-%d %H:%M %Z}" if end else ""))


@app.command()
def off(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Let prompts start again.

    [bold]Example[/bold]: vramgate maintenance off
    """
    _switch(read_ground(config, data_dir), Maintenance())
    print("prompts start again")


@app.command()
def show(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Say whether prompts start, and how many jobs still run.

    [bold]Example[/bold]: vramgate maintenance show
    """
    ground = read_ground(config, data_dir)
    found, running = with_ledger(ground, lambda ledger: _state(ground, ledger))
    if found.over(time.time()):
        print(f"prompts start; {running} jobs run")
        return
    end = f" until {found.until.astimezone():%Y-%m-%d %H:%M %Z}" if found.until else ""
    print(f"nothing new starts{end}; {running} jobs still run")
    if found.message:
        print(found.message)


async def _state(ground: Ground, ledger: Ledger) -> tuple[Maintenance, int]:
    live = LiveSettings(ground)
    await live.read(ledger)
    return live().maintenance, sum(row.running for row in await ledger.counts())


def _end(text: str, now: datetime) -> datetime:
    """A time to come.

    Raises:
        UsageError: it is none.
    """
    try:
        end = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        try:
            end = now + timedelta(seconds=parse_seconds(text))
        except ValueError as error:
            raise UsageError(
                f"--until {text}: write a time (2026-11-30T18:00) or a duration (2h)"
            ) from error
    if end <= now:
        raise UsageError(f"--until {text}: that has passed")
    return end


def _switch(ground: Ground, wanted: Maintenance) -> None:
    try:
        asyncio.run(_put(ground, wanted))
    except LedgerUnavailable as error:
        raise CliError(f"nothing was changed: {error}") from error


async def _put(ground: Ground, wanted: Maintenance) -> None:
    from store.audit import SqlAudit

    settings = ground.source.current()
    ledger = connect_ledger(settings, redis_url(settings, ground.data_dir))
    detail = wanted.model_dump(mode="json")
    try:
        async with opened_store(ground, new=True) as engine:
            audit = SqlAudit(engine, time.time, lambda: str(uuid.uuid4()))
            await audit.note(f"shell:{getuser()}", "maintenance", "pool", detail)
            await ledger.override({MAINTENANCE: json.dumps(detail)})
    finally:
        await ledger.close()
