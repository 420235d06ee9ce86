"""``vramgate usage``: who used what, as a table, CSV, JSON or a page for printing."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from cli.errors import UsageError
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.store_engine import opened_store
from store.records import By
from store.statement import Statement, csv_of, html_of, json_of


def usage(
    month: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="Which month; unset: this one.")
    ] = None,
    by: Annotated[By, typer.Option(help="What it is summed up by.")] = By.USER,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="Only this user's.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
    as_html: Annotated[bool, typer.Option("--html", help="Write a page for printing.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Say who used what in a month: GPU time, memory, energy, jobs, waits.

    GPU time is wall time divided by the jobs that ran on the GPU at that moment, so that all
    users' times make up the time in which the GPUs worked. Months are those of the time zone of
    scheduler.rhythm_zone.

    [bold]Example[/bold]: vramgate usage --month 2026-11 --by group --csv > november.csv
    """
    ground = read_ground(config, data_dir)
    zone = ZoneInfo(ground.source.current().scheduler.rhythm_zone)
    start, end = _month(month, zone)
    statement = asyncio.run(_statement(ground, start, end, by, user))
    forms = [
        write
        for wanted, write in ((as_csv, csv_of), (as_json, json_of), (as_html, html_of))
        if wanted
    ]
    if len(forms) > 1:
        raise UsageError("choose one of --csv, --json and --html")
    if forms:
        print(forms[0](statement))
    else:
        _show(statement)


def _month(month: str | None, zone: ZoneInfo) -> tuple[datetime, datetime]:
    if month is None:
        now = datetime.now(zone)
    else:
        try:
            now = datetime.strptime(month, "%Y-%m").replace(tzinfo=zone)
        except ValueError as error:
            raise UsageError(f"--month {month!r}: write it as 2026-11") from error
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return start, (start + timedelta(days=32)).replace(day=1)


async def _statement(
    ground: Ground, start: datetime, end: datetime, by: By, user: str | None
) -> Statement:
    from store.users import SqlUsers

    async with opened_store(ground) as engine:
        rows = await SqlUsers(engine).sums(
            int(start.timestamp() * 1000), int(end.timestamp() * 1000), by, user=user
        )
        return Statement(f"{start:%Y-%m}", by, tuple(rows))


def _show(statement: Statement) -> None:
    from rich.console import Console
    from rich.table import Table

    from cli.cell import cell

    table = Table(
        statement.by.value, "GPU hours", "GiB hours", "kWh", "jobs", "failed", "mean wait s",
        box=None,
    )  # fmt: skip
    for row in statement.rows:
        table.add_row(
            cell(row.name or "(none)"),
            f"{row.gpu_us / 3.6e9:.2f}",
            f"{row.byte_ms / 2**30 / 3.6e6:.1f}",
            f"{row.energy_mj / 3.6e9:.2f}",
            str(row.jobs),
            str(row.failed),
            f"{row.wait_ms / 1000 / max(1, row.jobs):.1f}",
        )
    Console().print(table)
