"""``vramgate profiles``: what was learned of workflows, to look at and to carry elsewhere."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from cli.boot import redis_url
from cli.errors import CliError, UsageError
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.users import open_ledger
from scheduler.ledger import Ledger, LedgerUnavailable
from scheduler.profile import Profile, from_json

app = typer.Typer(
    no_args_is_help=True,
    help="What was learned of each kind of workflow: memory, time, and how right estimates were.",
)
T = TypeVar("T")
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A JSON file; - for a pipe.")]

#: What a file of profiles calls itself, and the version of its outer shape.
_FORMAT: Final = "vramgate-profiles"
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{32}")
#: Larger than any pool's profiles: 1.5 KiB each.
_MOST_BYTES: Final = 256 * 2**20
_GIB: Final = 2**30
#: Examples of records that were not taken.
_MOST_PROBLEMS: Final = 5


@dataclass(frozen=True, slots=True)
class Selection:
    """What an import takes of a file, and why it leaves the rest."""

    taken: Mapping[str, bytes]
    #: this pool has seen as many runs or more
    kept: int
    #: written by a version that reckons differently
    other_version: int
    #: no profiles, with the reason
    damaged: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """For people."""
        parts = [f"took {len(self.taken)} profiles"]
        if self.kept:
            parts.append(f"left {self.kept} of which this pool has seen as many runs or more")
        if self.other_version:
            parts.append(f"left {self.other_version} of another version, to be learned again")
        if self.damaged:
            parts.append(f"left {len(self.damaged)} that cannot be read")
        return "; ".join(parts)


@app.command("export")
def export_profiles(
    file: FileArgument, config: ConfigOption = None, data_dir: DataDirOption = None
) -> None:
    """Write everything that was learned to a file.

    [bold]Example[/bold]: vramgate profiles export profiles.json
    """
    found = _with_ledger(read_ground(config, data_dir), lambda ledger: ledger.all_profiles())
    records = [f'"{name}": {text.decode()}' for name, text in sorted(found.items()) if _read(text)]
    lines = ",\n".join(records)  # one line each, so that files can be compared
    text = f'{{"format": "{_FORMAT}", "version": 1, "profiles": {{\n{lines}\n}}}}\n'
    if str(file) == "-":
        sys.stdout.write(text)
        return
    try:
        file.write_text(text)
    except OSError as error:
        raise CliError(f"cannot write {file}: {error.strerror}") from error
    print(f"wrote {len(records)} profiles to {file}")


@app.command("import")
def import_profiles(
    file: FileArgument, config: ConfigOption = None, data_dir: DataDirOption = None
) -> None:
    """Take profiles from a file, where they know more than this pool does.

    [bold]Example[/bold]: vramgate profiles import profiles.json
    """
    records = read_records(_text_of(file), str(file))

    async def work(ledger: Ledger) -> Selection:
        chosen = select(records, await ledger.all_profiles())
        await ledger.put_profiles(chosen.taken)
        return chosen

    chosen = _with_ledger(read_ground(config, data_dir), work)
    print(chosen.sentence)
    for problem in chosen.damaged[:_MOST_PROBLEMS]:
        print(f"  {problem}", file=sys.stderr)
    if records and len(chosen.damaged) == len(records):
        raise CliError(f"nothing in {file} is a profile")


@app.command()
def show(
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show each kind of workflow: runs, what it is booked with, and how right that was."""
    found = _with_ledger(read_ground(config, data_dir), lambda ledger: ledger.all_profiles())
    known = {name: profile for name, text in found.items() if (profile := _read(text))}
    ranked = sorted(known.items(), key=lambda item: (-item[1].count, item[1].about, item[0]))
    rows = [row_of(name, profile) for name, profile in ranked]
    if as_json:
        print(json.dumps(rows))
        return
    if not rows:
        print("nothing was learned yet; profiles come with the first jobs that end")
        return
    _print_table(rows)


def read_records(text: str, name: str) -> dict[str, Any]:
    """The records of a file of profiles, not yet looked at.

    Raises:
        UsageError: it is no such file.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{name} is no JSON: {error}") from error
    match data:
        case {"format": "vramgate-profiles", "version": 1, "profiles": dict(records)}:
            return records
        case {"format": "vramgate-profiles", "version": version}:
            raise UsageError(f"{name} has version {version!r}; this vramgate reads version 1")
        case _:
            raise UsageError(f"{name} was not written by `vramgate profiles export`")


def select(records: Mapping[str, Any], present: Mapping[str, bytes]) -> Selection:
    """What to take of a file's records, beside what the pool has."""
    taken: dict[str, bytes] = {}
    damaged: list[str] = []
    kept = other_version = 0
    for name, record in records.items():
        if not _FINGERPRINT.fullmatch(name):
            damaged.append(f"{name[:40]!r} is no fingerprint (32 hex digits)")
            continue
        text = json.dumps(record, separators=(",", ":")).encode()
        try:
            profile = from_json(text)
        except ValueError as error:
            damaged.append(f"{name}: {error}")
            continue
        here = _read(present[name]) if name in present else None
        if profile is None:
            other_version += 1
        elif here is not None and here.count >= profile.count:
            kept += 1
        else:
            taken[name] = text
    return Selection(taken, kept, other_version, tuple(damaged))


def row_of(fingerprint: str, profile: Profile) -> dict[str, Any]:
    """One kind's figures, for tables and programs."""
    accuracy, last = profile.accuracy, profile.last
    bound = profile.bytes.bound.value
    return {
        "fingerprint": fingerprint,
        "about": profile.about,
        "runs": profile.count,
        "last_bytes": round(last.bytes * bound),
        "last_seconds": round(last.seconds * profile.seconds.seen.quantile(0.5), 3),
        "last_load_seconds": round(last.load_seconds * profile.load.quantile(0.5), 3),
        "byte_runs": accuracy.byte_runs,
        "byte_error": _finite(accuracy.byte_error),
        "under_share": round(accuracy.under_share, 4),
        "second_runs": accuracy.second_runs,
        "second_error": _finite(accuracy.second_error),
        "covered_share": round(accuracy.covered_share, 4) if accuracy.second_runs else None,
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or value == float("inf") else value


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from cli.cell import cell

    table = Table("workflow", "runs", "bytes", "off by", "under", "run", "load", "within", box=None)
    for row in rows:
        table.add_row(
            cell(f"{row['fingerprint'][:8]} {row['about']}"),
            str(row["runs"]),
            f"{row['last_bytes'] / _GIB:.1f} GiB" if row["last_bytes"] else "",
            _percent(row["byte_error"], row["byte_runs"], "up to "),
            _percent(row["under_share"], row["byte_runs"]),
            f"{row['last_seconds']:.1f} s" if row["last_seconds"] else "",
            f"{row['last_load_seconds']:.1f} s" if row["last_load_seconds"] else "",
            _percent(row["covered_share"], row["second_runs"]),
        )
    Console().print(table)
    print(
        "bytes, run, load: of the last run's size. off by: median error of what was booked. "
        "under: share that needed more. within: share that ended by the time told (aim: 95 %)."
    )


def _percent(share: float | None, runs: int, prefix: str = "") -> str:
    if not runs:
        return ""
    return "over 100 %" if share is None else f"{prefix}{100 * share:.3g} %"


def _text_of(file: Path) -> str:
    try:
        if str(file) == "-":
            return sys.stdin.read()
        if file.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{file} is larger than any file of profiles")
        return file.read_text()
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no text file") from error
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error


def _read(text: bytes) -> Profile | None:
    """A profile, or None where it is as good as unknown."""
    try:
        return from_json(text)
    except ValueError:
        return None


def _with_ledger(ground: Ground, work: Callable[[Ledger], Coroutine[Any, Any, T]]) -> T:
    settings = ground.source.current()
    url = redis_url(settings, ground.data_dir)

    async def run() -> T:
        async with open_ledger(settings, url) as ledger:
            return await work(ledger)

    try:
        return asyncio.run(run())
    except LedgerUnavailable as error:
        raise CliError(str(error)) from error
