"""``vramgate alerts``: what fires, rules, silences, a test of who is told."""

from __future__ import annotations

import asyncio
import getpass
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from cli.errors import CliError, UsageError
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.store_engine import opened_store
from config.values import parse_seconds

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from store.alert_records import Alert
    from store.alerts import SqlAlerts

_T = TypeVar("_T")
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON.")]
_DAY_MS: Final = 86_400_000

app = typer.Typer(
    help="What somebody should know: what fires, rules, silences, who is told.",
    invoke_without_command=True,
)


@app.callback()
def alerts(
    context: typer.Context,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Say what fires now; exit code 3 if something does that nobody has silenced.

    [bold]Example[/bold]: vramgate alerts --json
    """
    if context.invoked_subcommand is not None:
        return
    ground = read_ground(config, data_dir)
    looked_ms, firing = _with_store(
        ground, lambda known, _: _gathered(known.looked_ms(), known.firing())
    )
    if as_json:
        _print({"looked_ms": looked_ms, "firing": [_row(alert) for alert in firing]})
    else:
        _say_unwatched(ground, looked_ms)
        print("\n".join(map(_line, firing)) or "nothing fires")
    if any(not alert.muted for alert in firing):
        raise typer.Exit(3)


@app.command()
def history(
    days: Annotated[float, typer.Option(min=0.01, max=3660, help="How far back.")] = 7.0,
    rule: Annotated[str | None, typer.Option(metavar="NAME", help="Only this rule's.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Say what fired, newest first.

    [bold]Example[/bold]: vramgate alerts history --days 1 --rule slow_node
    """
    until_ms = _now_ms() + 1
    from_ms = until_ms - int(days * _DAY_MS)
    found = _with_store(
        read_ground(config, data_dir),
        lambda known, _: known.past(from_ms, until_ms, rule=rule, rows=1000),
    )
    if as_json:
        _print({"alerts": [_row(alert) for alert in found]})
    else:
        print("\n".join(map(_line, found)) or "nothing fired")


@app.command()
def rules(
    prometheus: Annotated[
        bool,
        typer.Option("--prometheus", help="Write a rule file for Prometheus (docs/alerts.md)."),
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List the rules as they are in force, built in or from the config file.

    [bold]Example[/bold]: vramgate alerts rules --prometheus > vramgate.rules.yml
    """
    from config.alert_rules import rules_of
    from dashboard.alerts.prometheus import rule_file
    from dashboard.api.alert_rows import rule_row

    settings = read_ground(config, data_dir).source.current()
    known = rules_of(settings.alerts)
    if prometheus and as_json:
        raise UsageError("choose one of --prometheus and --json")
    if prometheus:
        print(rule_file(known, settings), end="")
    elif as_json:
        _print({"rules": [rule_row(rule, None) for rule in known]})
    else:
        from dashboard.alerts.words import rule_words

        print("\n".join(rule_words(rule) for rule in known))


@app.command()
def silence(
    rule: Annotated[str, typer.Argument(help="Its name, or a pattern: `slow_*`.")],
    why: Annotated[str, typer.Option(help="For those who wonder later.")],
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="`30m`, `2h`, `3d`.")] = "2h",
    subject: Annotated[
        str, typer.Option(metavar="PATTERN", help="What it is about: `gpu:*`, `worker:studio1-*`.")
    ] = "*",
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Tell nobody of such alerts for a while; they are still shown, as silenced.

    [bold]Example[/bold]: vramgate alerts silence hot_gpu --for 3h --why "new fans come at noon"
    """
    from config.alert_rules import no_such_rule

    try:
        seconds = float(parse_seconds(lasts))
    except ValueError as error:
        raise UsageError(str(error)) from error
    if not 0 < seconds * 1000 <= 90 * _DAY_MS:
        raise UsageError("--for must be above 0, by 90 days at most")
    ground = read_ground(config, data_dir)
    if (problem := no_such_rule(rule, ground.source.current().alerts)) is not None:
        raise UsageError(problem)

    async def do(known: SqlAlerts, engine: AsyncEngine) -> str:
        until_ms = _now_ms() + int(seconds * 1000)
        made = await known.silence(rule, subject, until_ms, _whoami(), why)
        await _note(engine, "silence", subject, {"rule": rule, "until_ms": until_ms, "why": why})
        return made.id

    made = _with_store(ground, do)
    print(f"{made}: {rule} about {subject} is silenced; `vramgate alerts unsilence {made}` ends it")


@app.command()
def unsilence(
    silence_id: Annotated[str, typer.Argument(help="As `vramgate alerts silences` shows it.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """End a silence now."""

    async def do(known: SqlAlerts, engine: AsyncEngine) -> None:
        ended = await known.end_silence(silence_id)
        if ended is None:
            raise CliError(f"no silence {silence_id} is in force; `vramgate alerts silences`")
        await _note(engine, "unsilence", ended.subject, {"rule": ended.rule})

    _with_store(read_ground(config, data_dir), do)
    print(f"{silence_id}: over")


@app.command()
def silences(
    as_json: JsonOption = False, config: ConfigOption = None, data_dir: DataDirOption = None
) -> None:
    """List silences in force."""
    from dashboard.api.alert_rows import silence_row

    found = _with_store(read_ground(config, data_dir), lambda known, _: known.silences())
    if as_json:
        _print({"silences": [silence_row(one) for one in found]})
        return
    for one in found:
        print(
            f"{one.id}  {one.rule} about {one.subject} until {_time(one.until_ms)}, by "
            f"{one.by_user}: {one.why}"
        )
    if not found:
        print("nothing is silenced")


@app.command("test")
def send_test(
    receiver: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this one; unset: each.")
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Send a test to each webhook and e-mail receiver of the config file, now and from here."""
    from dashboard.alerts.delivery import deliver
    from dashboard.alerts.message import trial_body
    from dashboard.alerts.sending import Sent
    from dashboard.api.alert_rows import receivers_of

    settings = read_ground(config, data_dir).source.current()
    names = [name for name in receivers_of(settings) if receiver in (None, name)]
    if not names:
        raise CliError("the config file has no such receiver: see alerts.webhooks, alerts.mails")
    failed = False
    for name in names:
        message = uuid.uuid4().hex
        body = trial_body(message, name, _whoami(), _now_ms())
        outcome = asyncio.run(deliver(settings.alerts, name, message, body, time.time))
        failed |= not isinstance(outcome, Sent)
        print(f"{name}: {'sent' if isinstance(outcome, Sent) else outcome.why}")
    if failed:
        raise typer.Exit(1)


def _with_store(ground: Ground, do: Callable[[SqlAlerts, AsyncEngine], Awaitable[_T]]) -> _T:
    from store.alerts import SqlAlerts

    async def run() -> _T:
        async with opened_store(ground) as engine:
            return await do(SqlAlerts(engine, time.time, lambda: uuid.uuid4().hex[:12]), engine)

    return asyncio.run(run())


async def _gathered(
    looked: Awaitable[int | None], firing: Awaitable[list[Alert]]
) -> tuple[int | None, list[Alert]]:
    return await looked, await firing


async def _note(engine: AsyncEngine, action: str, subject: str, detail: dict[str, Any]) -> None:
    from store.audit import SqlAudit

    audit = SqlAudit(engine, time.time, lambda: uuid.uuid4().hex)
    await audit.note(_whoami(), action, subject, detail)


def _say_unwatched(ground: Ground, looked_ms: int | None) -> None:
    from dashboard.alerts.dead_man import is_unwatched

    alerts_ = ground.source.current().alerts
    if not alerts_.enabled:
        print("alerts.enabled is false: nothing is looked at")
    elif is_unwatched(looked_ms, _now_ms(), alerts_.every):
        since = "ever" if looked_ms is None else f"since {_time(looked_ms)}"
        print(f"nobody has looked {since}: does `vramgate recorder` run?")


def _line(alert: Alert) -> str:
    until = f" – {_time(alert.ended_ms)}" if alert.ended_ms else ""
    muted = f" ({alert.muted})" if alert.muted else ""
    text = alert.detail.get("text", "")
    user = f" {alert.user_name}:" if alert.user_name else ""
    return (
        f"{_time(alert.since_ms)}{until}  {alert.severity:8}  {alert.rule}  {alert.subject}{muted}"
        f"\n   {user} {text}"
    )


def _row(alert: Alert) -> dict[str, Any]:
    return {name: getattr(alert, name) for name in alert.__slots__}


def _print(body: dict[str, Any]) -> None:
    print(json.dumps(body, indent=2, ensure_ascii=False))


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000).astimezone():%Y-%m-%d %H:%M:%S}"


def _whoami() -> str:
    """Who sits at the terminal: whoever reads the store's file is an admin."""
    return f"cli:{getpass.getuser()}"


def _now_ms() -> int:
    return int(time.time() * 1000)
