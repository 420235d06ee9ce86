"""``vramgate restart``: workers anew after an update, one after the other."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cli.errors import CliError, UsageError
from cli.options import ConfigOption, DataDirOption, read_ground
from cli.pool_calls import with_ledger, workers_of
from dashboard.rolling import NotBack, restart_worker
from scheduler.ledger import Ledger
from scheduler.states import WorkerState


def restart(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORKER|AGENT", help="As `vramgate status` shows them."),
    ] = None,
    rolling: Annotated[bool, typer.Option("--rolling", help="All workers of the pool.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Start workers anew, each when it is idle, and the next one when it answers again.

    The first that does not come back ends it: the others go on as they were.

    [bold]Example[/bold], after an update of ComfyUI: vramgate restart --rolling
    """
    if bool(names) == rolling:
        raise UsageError("name workers or agents, or say --rolling for all of them")
    with_ledger(read_ground(config, data_dir), lambda ledger: _restart(ledger, names))


async def _restart(ledger: Ledger, names: list[str] | None) -> None:
    pool = await ledger.pool()
    if names:
        workers = [one for name in names for one in workers_of(pool, name)]
    else:
        workers = sorted(one.id for one in pool.workers.values() if one.state is WorkerState.READY)
    for worker in dict.fromkeys(workers):
        print(f"{worker}: {await _one(ledger, worker)}", flush=True)


async def _nothing() -> None:
    """Somebody looks on; there is nothing to tell meanwhile."""


async def _one(ledger: Ledger, worker: str) -> str:
    try:
        ours = await restart_worker(ledger, worker, time.monotonic, _nothing)
    except NotBack as error:
        raise CliError(str(error)) from error
    return "restarted" if ours else "not started by vramgate: restart that ComfyUI yourself"
