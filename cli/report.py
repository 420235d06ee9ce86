"""``vramgate report``: what happened, as one HTML file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from cli import recording
from cli.errors import CliError
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.recording import NamesOption, SinceOption, UntilOption, UserOption


def report(
    since: SinceOption = None,
    until: UntilOption = None,
    user: UserOption = None,
    names: NamesOption = False,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where to; -: standard output.")
    ] = Path("vramgate-report.html"),
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write a report of a span of time (a day, unless told otherwise) as one page.

    It opens from a disk in any browser, without a server or a network, and is small enough for a
    mail. Texts are never in it, and users, groups and models have made-up names unless --names.

    [bold]Example[/bold]: vramgate report --since 24h --out report.html
    """
    ground = read_ground(config, data_dir)
    span = recording.span_ms(since, until, "24h")
    asyncio.run(_report(ground, span, user, out, names=names))


async def _report(
    ground: Ground, span: tuple[int, int], user: str | None, out: Path, *, names: bool
) -> None:
    from dashboard.perf_json.redaction import Names
    from dashboard.perf_json.report import NotBuilt
    from dashboard.perf_json.report import report as make
    from store.recordings import Scope

    scope = Scope(from_ms=span[0], until_ms=span[1], user=user)
    async with recording.store(ground) as (_, maker):
        try:
            page = await make(maker, scope, Names(true=names))
        except NotBuilt as error:
            raise CliError(str(error)) from error

    async def chunks() -> AsyncIterator[bytes]:
        yield page

    await recording.write(chunks(), out)
