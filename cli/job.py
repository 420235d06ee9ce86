"""``vramgate job``: jobs of the past and the present, one by one."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Annotated, Any, Final

import typer

from cli.api_client import Api, Json, JsonOption, KeyFileOption, UrlOption, ask, where
from cli.errors import UsageError
from cli.options import ConfigOption, DataDirOption
from config.values import parse_seconds

app = typer.Typer(
    help="Jobs, ended ones too: list, look at one, cancel. (`vramgate jobs` is the role that works "
    "off regular jobs.)",
    no_args_is_help=True,
)
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id, or its prompt id.")]
UserOption = Annotated[str | None, typer.Option("--user", metavar="NAME", help="Whose.")]
_MOST: Final = 1000
_GIB: Final = 2**30


@app.command("list")
def list_jobs(
    user: UserOption = None,
    state: Annotated[
        str | None,
        typer.Option(metavar="STATE", help="QUEUED, RUNNING, SUCCEEDED, FAILED …; with commas."),
    ] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="Ended since: 24h, 7d.")] = "24h",
    most: Annotated[int, typer.Option("--most", min=1, max=_MOST, help="So many ended ones.")] = 50,
    before: Annotated[
        str | None, typer.Option(metavar="NEXT", help="The `next` of the page before.")
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key_file: KeyFileOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List jobs that have not ended, then those that have, newest first.

    [bold]Example[/bold]: vramgate job list --user anna --state FAILED --since 7d
    """
    begin_ms = int((time.time() - _seconds(since)) * 1000)

    async def work(api: Api) -> Json:
        return await api.get(
            "jobs", user=user, state=state, rows=most, before=before, from_=begin_ms
        )

    found = ask(where(url, key_file, config, data_dir), work)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    _show_list(found)


@app.command()
def show(
    job_id: JobId,
    user: UserOption = None,
    attempt: Annotated[
        int | None, typer.Option(min=1, help="Which try; unset: the last one.")
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key_file: KeyFileOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show one job: what it waited for, its tries, and what each node took.

    [bold]Example[/bold]: vramgate job show 3f2a8c1e-…
    """

    async def work(api: Api) -> Json:
        return await api.get("jobs", job_id, user=user, attempt=attempt)

    found = ask(where(url, key_file, config, data_dir), work)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    _show_one(found)


@app.command()
def cancel(
    job_id: JobId,
    user: UserOption = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key_file: KeyFileOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Cancel a job that waits or runs.

    [bold]Example[/bold]: vramgate job cancel 3f2a8c1e-…
    """

    async def work(api: Api) -> Json:
        # whoever's it is: the id is enough
        job = (await api.get("jobs", job_id, user=user))["job"]
        return await api.post("jobs", job["prompt_id"], "cancel", user=job["user"])

    found = ask(where(url, key_file, config, data_dir), work)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print(f"{found['prompt_id']}: {found['state'].lower()}")


def _seconds(text: str) -> float:
    try:
        return float(parse_seconds(text))
    except ValueError as error:
        raise UsageError(f"--since {text!r}: write how long, for example 24h or 7d") from error


def _show_list(found: Json) -> None:
    from rich.console import Console
    from rich.table import Table

    from cli.cell import cell

    rows = [*found["unfinished"], *found["jobs"]]
    if not rows:
        print("no such jobs")
        return
    table = Table("id", "user", "state", "workflow", "ended", "wait", "ran", "peak", box=None)
    for row in rows:
        table.add_row(
            cell(row["prompt_id"]),
            row["user"],
            f"{row['state'].lower()} {row['reason']}".strip(),
            cell(row["workflow"]["name"]),
            _moment(row["ended_ms"]),
            _took(row["wait_seconds"]),
            _took(row["run_seconds"] or None),
            f"{row['peak_bytes'] / _GIB:.1f} GiB" if row["peak_bytes"] else "",
        )
    Console().print(table)
    if found["next"]:
        print(f"more: --before {found['next']}")


def _show_one(found: Json) -> None:
    from rich.console import Console
    from rich.table import Table

    from cli.cell import cell, plain

    job = found["job"]
    print(
        f"{plain(job['prompt_id'])} of {job['user']}: {job['state'].lower()} {job['reason']}".rstrip()
    )
    print(f"  workflow  {plain(job['workflow']['name'])} ({job['workflow']['fingerprint']})")
    print(f"  worker    {job['worker'] or 'none yet'} {job['gpu']}".rstrip())
    waited = f"waited {_took(job['wait_seconds'])}" if job["wait_seconds"] is not None else ""
    print(f"  times     {waited} ran {_took(job['run_seconds'])}, {job['attempts']} tries")
    if not found["nodes"]:
        print("  no probe has told of its nodes")
        return
    table = Table("node", "class", "took", "usually", "peak", "", box=None)
    for node in found["nodes"]:
        table.add_row(
            cell(node["node"]),
            cell(node["class_type"]),
            _took(node["seconds"]) if node["reached"] else node["state"],
            _took(node["usual_seconds"]),
            f"{node['peak_bytes'] / _GIB:.1f} GiB" if node["peak_bytes"] else "",
            cell(_remark(node)),
        )
    Console().print(table)


def _remark(node: Json) -> str:
    fallback = f"fell back: {node['fallback']}" if node["fallback"] else ""
    return ", ".join(part for part in (fallback, node["error"] or "") if part)


def _moment(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000):%d.%m. %H:%M:%S}" if at_ms else ""


def _took(seconds: Any) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(float(seconds), 60)
    return f"{int(minutes)} min {rest:.0f} s" if minutes else f"{rest:.1f} s"
