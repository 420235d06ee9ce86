"""The ``vramgate`` command: one file per subcommand, errors in one place."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from cli import (
    advice,
    agent,
    alerts,
    backup,
    config,
    drain,
    estimate,
    gateway,
    gpus,
    job,
    jobs,
    maintenance,
    migrate,
    perf,
    profiles,
    queue,
    record,
    recorder,
    report,
    restart,
    rhythm,
    scheduler,
    simulate,
    status,
    top,
    up,
    usage,
    users,
    version,
    worker_log,
)
from cli.errors import CliError
from cli.logs import quiet_logging
from config.problems import ConfigError

#: Exit code of a mistake of ours, apart from refusals (1) and usage (2).
INTERNAL_ERROR = 70

app = typer.Typer(
    name="vramgate",
    help=(
        "One URL for many ComfyUI users: queues prompts, runs them where they fit, shares fairly.\n\n"
        "Start here:  [bold]vramgate up[/bold]   (everything on this machine; simulated GPUs if "
        "there is no ComfyUI)"
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=version.told_at_once
        ),
    ] = False,
) -> None:
    """Options of vramgate itself; its help is the app's own."""


app.command("up")(up.up)
app.command("status")(status.status)
app.command("top")(top.top)
app.command("gpus")(gpus.gpus)
app.add_typer(job.app, name="job")
app.add_typer(queue.app, name="queue")
app.add_typer(users.app, name="users")
app.add_typer(profiles.app, name="profiles")
app.add_typer(rhythm.app, name="rhythm")
app.add_typer(config.app, name="config")
app.add_typer(maintenance.app, name="maintenance")
app.add_typer(alerts.app, name="alerts")
app.command("advice")(advice.advice)
app.command("usage")(usage.usage)
app.command("record")(record.record)
app.command("report")(report.report)
app.add_typer(perf.app, name="perf")
app.command("drain")(drain.drain)
app.command("undrain")(drain.undrain)
app.command("restart")(restart.restart)
app.command("logs")(worker_log.logs)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("migrate")(migrate.migrate)
app.command("estimate")(estimate.estimate)
app.command("simulate")(simulate.simulate)
app.command("version")(version.version)
_ROLES = "Single roles (up runs them all)"
app.command("gateway", rich_help_panel=_ROLES)(gateway.gateway)
app.command("scheduler", rich_help_panel=_ROLES)(scheduler.scheduler)
app.command("agent", rich_help_panel=_ROLES)(agent.agent)
app.command("recorder", rich_help_panel=_ROLES)(recorder.recorder)
app.command("jobs", rich_help_panel=_ROLES)(jobs.jobs)


def main() -> None:
    """Entry point of ``vramgate``; leaves with 0, 1 (refused), 2 (usage) or 70 (our mistake)."""
    quiet_logging()  # a role sets up its own
    try:
        app(prog_name="vramgate")
    except ConfigError as error:
        print("error: the configuration cannot be used:", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        sys.exit(2)
    except CliError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `vramgate … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("VRAMGATE_DEBUG"):
            raise
        text = str(error) or "no message"
        print(
            f"error: {type(error).__name__}: {text}. This is a mistake in vramgate; "
            "VRAMGATE_DEBUG=1 shows where, please report it.",
            file=sys.stderr,
        )
        sys.exit(INTERNAL_ERROR)


if __name__ == "__main__":
    main()
