"""``vramgate record``: what happened, as a file to keep, send and replay."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import recording
from cli.errors import CliError, UsageError
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.recording import NamesOption, SinceOption, UntilOption, UserOption
from config.values import parse_seconds

if TYPE_CHECKING:
    from store.recordings import Scope, SqlRecordings

#: After the end of a live recording, until the recorder has stored what happened before it: probes
#: tell each second, and are stored each second; a slow store takes longer.
_SETTLE_S = 5.0


def record(
    job: Annotated[
        str | None,
        typer.Option(metavar="ID", help="One job, by its id; with --user also by its prompt id."),
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    live: Annotated[
        str | None, typer.Option(metavar="TIME", help="What happens from now on, for so long: 60s.")
    ] = None,
    user: UserOption = None,
    names: NamesOption = False,
    chrome: Annotated[
        bool, typer.Option("--chrome", help="Write Chrome's trace format, for ui.perfetto.dev.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where to; -: standard output."),
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write a recording (.perf.json) of a job, or of all that happened in a span of time.

    Texts are never in it, and users, groups and models have made-up names unless --names is given.
    The dashboard's Replay page shows it.

    [bold]Examples[/bold]: vramgate record --job 3f2a… ; vramgate record --since 1h -o slow.perf.json
    """
    if sum(one is not None for one in (job, since, live)) > 1:
        raise UsageError("choose one of --job, --since and --live")
    ground = read_ground(config, data_dir)
    begin_ms, end_ms = recording.span_ms(since, until, "1h")
    if live is not None:
        begin_ms, end_ms = wait_for(live)
    where = out or Path(f"vramgate-{time.strftime('%Y%m%d-%H%M%S')}{_ending(chrome)}")
    asyncio.run(_record(ground, job, (begin_ms, end_ms), user, where, names=names, chrome=chrome))


def _ending(chrome: bool) -> str:
    return ".trace.json" if chrome else ".perf.json"


def wait_for(text: str, sleep: Callable[[float], None] = time.sleep) -> tuple[int, int]:
    """Wait so long, and for the recorder; the time in which that was."""
    try:
        seconds = parse_seconds(text)
    except ValueError as error:
        raise UsageError(f"--live {text!r}: write how long, for example 60s or 5m") from error
    begin = time.time()
    print(f"recording for {seconds:g} s, Ctrl-C ends it", file=sys.stderr)
    try:
        sleep(seconds)
    except KeyboardInterrupt:
        print("ended early", file=sys.stderr)
    end = time.time()
    sleep(_SETTLE_S)
    return int(begin * 1000), int(end * 1000)


async def _record(
    ground: Ground,
    job: str | None,
    span: tuple[int, int],
    user: str | None,
    out: Path,
    *,
    names: bool,
    chrome: bool,
) -> None:
    from dashboard.perf_json.chrome import ChromeTrace
    from dashboard.perf_json.redaction import Names
    from dashboard.perf_json.writing import Encoder, PerfJson

    encoder: Encoder = ChromeTrace() if chrome else PerfJson()
    true = Names(true=names)
    async with recording.store(ground) as (reader, maker):
        scope = await _scope(reader, job, span, user)

        async def chunks() -> AsyncIterator[bytes]:
            yield encoder.begin(maker.head(scope, true))
            async for entry in maker.entries(scope, true):
                yield encoder.add(entry)
            yield encoder.end()

        await recording.write(chunks(), out)


async def _scope(
    reader: SqlRecordings, job: str | None, span: tuple[int, int], user: str | None
) -> Scope:
    from store.recordings import Scope

    if job is None:
        return Scope(from_ms=span[0], until_ms=span[1], user=user)
    found = await reader.find(job, user)
    if found is None:
        raise CliError(
            f"nothing is kept of a job {job!r}; the dashboard's Queue and Jobs pages show ids"
        )
    until = max(found.until_ms, found.from_ms + 1)
    return Scope(from_ms=found.from_ms, until_ms=until, user=found.user, job=found.job)
