"""What ``vramgate record`` and ``vramgate report`` share: the span asked for, the store, the file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CliError, UsageError
from cli.options import Ground
from cli.store_engine import opened_store
from config.values import parse_seconds

if TYPE_CHECKING:
    from dashboard.perf_json.recording import Recording
    from store.recordings import SqlRecordings

SinceOption = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="From then on: 1h, 3d, or 2026-11-27T08:00 local time."),
]
UntilOption = Annotated[
    str | None, typer.Option(metavar="WHEN", help="Until then; unset: until now.")
]
UserOption = Annotated[str | None, typer.Option(metavar="NAME", help="Only this user's.")]
NamesOption = Annotated[
    bool,
    typer.Option(
        "--names", help="Write users, groups and models by their names, not made-up ones."
    ),
]


def moment_ms(text: str, option: str, now_s: float) -> int:
    """A time as the options write it, ms since the epoch.

    Raises:
        UsageError: it is none.
    """
    try:
        return int((now_s - parse_seconds(text)) * 1000)
    except ValueError:
        pass
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except ValueError as error:
        raise UsageError(
            f"{option} {text!r}: write how long ago (90s, 1h, 3d) or when (2026-11-27T08:00)"
        ) from error


def span_ms(since: str | None, until: str | None, default: str) -> tuple[int, int]:
    """From … until, ms since the epoch.

    Raises:
        UsageError: they are no times, or the wrong way round.
    """
    now_s = time.time()
    begin = moment_ms(since or default, "--since", now_s)
    end = moment_ms(until, "--until", now_s) if until is not None else int(now_s * 1000)
    if begin >= end:
        raise UsageError("--since must be before --until")
    return begin, end


@asynccontextmanager
async def store(ground: Ground) -> AsyncIterator[tuple[SqlRecordings, Recording]]:
    """The store's reader, and what makes recordings of it."""
    from dashboard.history.samples import fold_gpus, fold_pool
    from dashboard.perf_json.recording import Recording
    from store.recordings import SqlRecordings
    from store.samples import SqlSamples
    from store.users import SqlUsers

    async with opened_store(ground) as engine:
        reader = SqlRecordings(engine)
        samples = SqlSamples(engine, fold_gpus, fold_pool)
        yield reader, Recording(reader, samples, SqlUsers(engine), clock=time.time)


async def write(chunks: AsyncIterator[bytes], out: Path) -> None:
    """Write a file whole or not at all; ``-``: to the standard output.

    Raises:
        CliError: it cannot be written.
    """
    if str(out) == "-":
        async for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return
    partial = out.with_name(f"{out.name}.{os.getpid()}.part")
    size = 0
    try:
        with partial.open("wb") as file:
            async for chunk in chunks:
                size += file.write(chunk)
        partial.replace(out)
    except OSError as error:
        raise CliError(
            f"{out} cannot be written ({error.strerror}); choose another --out"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    print(f"{out}: {size:,} bytes", file=sys.stderr)
