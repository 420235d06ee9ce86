"""``vramgate perf``: check and convert recordings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import recording
from cli.errors import CliError

if TYPE_CHECKING:
    from dashboard.perf_json.shapes import Perf

app = typer.Typer(help="Check and convert recordings (.perf.json).", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A .perf.json.")]


@app.command("check")
def check(file: FileArgument) -> None:
    """Say what is in a recording, or what is wrong with it.

    [bold]Example[/bold]: vramgate perf check slow.perf.json
    """
    perf = _read(file)
    seconds = (perf.span.until_ms - perf.span.from_ms) / 1000
    print(f"{file}: version {perf.version}, by {perf.about.writer}: {perf.about.scope}")
    print(f"  {seconds:,.1f} s, {len(perf.gpus)} GPUs, {len(perf.workers)} workers")
    print(f"  {len(perf.jobs)} jobs, {len(perf.runs)} runs, {len(perf.nodes)} nodes")
    for one in perf.left_out:
        print(f"  left out: {one.count} {one.part} ({one.why})")


@app.command("convert")
def convert(
    file: FileArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where to; -: standard output."),
    ] = None,
) -> None:
    """Write a recording in Chrome's trace format, which ui.perfetto.dev opens.

    [bold]Example[/bold]: vramgate perf convert slow.perf.json
    """
    from dashboard.perf_json.chrome import ChromeTrace
    from dashboard.perf_json.parts import entries_of, head_of

    perf = _read(file)

    async def chunks() -> AsyncIterator[bytes]:
        encoder = ChromeTrace()
        yield encoder.begin(head_of(perf))
        for entry in entries_of(perf):
            yield encoder.add(entry)
        yield encoder.end()

    name = file.name.removesuffix(".json").removesuffix(".perf")
    asyncio.run(recording.write(chunks(), out or file.with_name(f"{name}.trace.json")))


def _read(file: Path) -> Perf:
    from dashboard.perf_json.reading import MOST_BYTES, BadFile, read

    try:
        with file.open("rb") as opened:
            found = read(opened.read(MOST_BYTES + 1))
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror}") from error
    if isinstance(found, BadFile):
        raise CliError(f"{file}: {found.problem}")
    return found
