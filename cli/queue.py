"""``vramgate queue``: who waits for what, and an admin's hand on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from cli.api_client import Api, Json, JsonOption, KeyFileOption, UrlOption, ask, where
from cli.boot import connect_ledger, redis_url
from cli.errors import CliError
from cli.options import ConfigOption, DataDirOption, read_ground
from scheduler.ledger import Ledger, LedgerUnavailable
from scheduler.states import TERMINAL, Job, JobState

_T = TypeVar("_T")

app = typer.Typer(
    help="Look at everybody's queue (`list`, also without a word) and change it: on this data "
    "folder, or on redis.url.",
    invoke_without_command=True,
)

PromptId = Annotated[str, typer.Argument(help="As `vramgate queue list` shows it.")]
UserOption = Annotated[
    str | None,
    typer.Option("--user", metavar="NAME", help="Whose job it is; needed where two have that id."),
]
#: Jobs of one question.
_PAGE_ROWS: Final = 1000
#: Why nothing was changed, by what was asked for.
_TOO_LATE: Final = {"cancel": "it has ended", "hold": "it is no longer queued"}


@app.callback()
def queue(
    context: typer.Context,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key_file: KeyFileOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """See the group's own help."""
    if context.invoked_subcommand is None:
        list_jobs(None, as_json, url, key_file, config, data_dir)


@app.command("list")
def list_jobs(
    user: Annotated[
        str | None, typer.Option("--user", metavar="NAME", help="Only this user's.")
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key_file: KeyFileOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show all unfinished jobs, each user's in the order in which they would start.

    [bold]Example[/bold]: vramgate queue list --user ann
    """
    if as_json or url is not None:
        found = _ask_api(url, key_file, config, data_dir, user)
        if as_json:
            print(json.dumps(found, indent=2, ensure_ascii=False))
            return
        lines = [f"{one['user']}  {_told(one)}" for one in found["jobs"]] or ["no unfinished jobs"]
    else:
        jobs = _with_ledger(lambda ledger: _unfinished(ledger, user), config, data_dir)
        lines = _lines(jobs)
    for line in lines:
        print(line)


@app.command()
def hold(
    prompt_id: PromptId,
    user: UserOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Keep a queued job from starting until it is let go; its place stays."""
    print(_with_ledger(lambda ledger: _act(ledger, prompt_id, user, "hold"), config, data_dir))


@app.command()
def unhold(
    prompt_id: PromptId,
    user: UserOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Let a held job start again."""
    print(_with_ledger(lambda ledger: _act(ledger, prompt_id, user, "unhold"), config, data_dir))


@app.command()
def front(
    prompt_id: PromptId,
    user: UserOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Give a queued job the first place among its user's own."""
    print(_with_ledger(lambda ledger: _act(ledger, prompt_id, user, "front"), config, data_dir))


@app.command()
def back(
    prompt_id: PromptId,
    user: UserOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Give a queued job the last place among its user's own."""
    print(_with_ledger(lambda ledger: _act(ledger, prompt_id, user, "back"), config, data_dir))


@app.command()
def cancel(
    prompt_id: PromptId,
    user: UserOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Cancel a job, queued or running."""
    print(_with_ledger(lambda ledger: _act(ledger, prompt_id, user, "cancel"), config, data_dir))


def _ask_api(
    url: str | None,
    key_file: Path | None,
    config: ConfigOption,
    data_dir: DataDirOption,
    user: str | None,
) -> Json:
    """All that waits and runs, page by page."""

    async def work(api: Api) -> Json:
        found = await api.get("queue", user=user, rows=_PAGE_ROWS)
        while len(found["jobs"]) < found["matching"]:
            more = await api.get("queue", user=user, rows=_PAGE_ROWS, start=len(found["jobs"]))
            if not more["jobs"]:  # fewer than there were
                break
            found["jobs"] += more["jobs"]
        return found

    return ask(where(url, key_file, config, data_dir), work)


def _told(job: Json) -> str:
    if job["state"] != JobState.QUEUED.value:
        return f"{job['prompt_id']}  {job['state'].lower()} on {job['worker']}"
    why = ": ".join(part for part in (job["wait_reason"], job["wait_detail"]) if part)
    return f"{job['prompt_id']}  queued" + (f", {why}" if why else "")


def _with_ledger(
    do: Callable[[Ledger], Awaitable[_T]], config: ConfigOption, data_dir: DataDirOption
) -> _T:
    async def run() -> _T:
        settings = ground.source.current()
        ledger = connect_ledger(settings, redis_url(settings, ground.data_dir))
        try:
            return await do(ledger)
        finally:
            await ledger.close()

    ground = read_ground(config, data_dir)
    try:
        return asyncio.run(run())
    except LedgerUnavailable as error:
        raise CliError(str(error)) from error


async def _unfinished(ledger: Ledger, user: str | None) -> list[Job]:
    names = [user] if user is not None else [row.user for row in await ledger.counts()]
    return [job for name in names for job in await ledger.unfinished(name)]


def _lines(jobs: list[Job]) -> list[str]:
    if not jobs:
        return ["no unfinished jobs"]
    users = list(dict.fromkeys(job.user for job in jobs))
    return [
        line for user in users for line in [user, *(_line(job) for job in jobs if job.user == user)]
    ]


def _line(job: Job) -> str:
    if job.state is not JobState.QUEUED:
        return f"  {job.prompt_id}  {job.state.value.lower()} on {job.worker}"
    reason = job.wait_reason.value if job.wait_reason else ""
    why = ": ".join(part for part in (reason, job.wait_detail) if part)
    return f"  {job.prompt_id}  queued" + (f", {why}" if why else "")


async def _act(ledger: Ledger, prompt_id: str, user: str | None, action: str) -> str:
    from dashboard.actions import act  # with aiohttp, which `list` need not wait for

    job = await find_job(ledger, prompt_id, user)
    reply = await act(ledger, job, action)
    state = reply.state.value.lower() if reply.state is not None else "gone"
    if not reply.changed and reply.state not in (JobState.QUEUED, JobState.CANCELLING):
        why = _TOO_LATE.get(action, _TOO_LATE["hold"])
        raise CliError(f"{prompt_id} of {job.user} cannot be changed: {why} ({state})")
    return f"{prompt_id} of {job.user}: {action}" + ("" if reply.changed else ", as it was")


async def find_job(ledger: Ledger, prompt_id: str, user: str | None) -> Job:
    """The one unfinished job of that id.

    Raises:
        CliError: there is none, or several users have one.
    """
    names = [user] if user is not None else [row.user for row in await ledger.counts()]
    found = [job for name in names if (job := await ledger.find(name, prompt_id)) is not None]
    waiting = [job for job in found if job.state not in TERMINAL]
    if len(waiting) == 1:
        return waiting[0]
    if waiting:
        owners = ", ".join(job.user for job in waiting)
        raise CliError(f"several users have a job {prompt_id} ({owners}); say whose with --user")
    ended = f"; that of {found[0].user} has ended ({found[0].state.value})" if found else ""
    raise CliError(f"no unfinished job {prompt_id}{ended}. `vramgate queue list` shows all.")
