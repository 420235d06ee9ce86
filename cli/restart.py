"""``vramgate restart``: workers anew after an update, one after the other."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Final

import typer

from cli.errors import CliError, UsageError
from cli.options import ConfigOption, DataDirOption, read_ground
from cli.pool_calls import with_ledger, workers_of
from config.upkeep import ASKED, REFUSED, restart_path
from scheduler.ledger import Ledger
from scheduler.states import WorkerState

_LOOK_S: Final = 0.5
#: how long a worker may take from its restart until it answers, seconds
_UP_S: Final = 600.0


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


async def _one(ledger: Ledger, worker: str) -> str:
    path = restart_path(worker)
    await ledger.override({path: ASKED})
    try:
        while (asked := (await ledger.overrides())[1].get(path)) == ASKED:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
    except asyncio.CancelledError:
        await ledger.override({path: None})
        raise
    if asked == REFUSED:
        await ledger.override({path: None})
        return "not started by vramgate: restart that ComfyUI yourself"
    await _until_up(ledger, worker)
    return "restarted"


async def _until_up(ledger: Ledger, worker: str) -> None:
    until = time.monotonic() + _UP_S
    while time.monotonic() < until:
        found = (await ledger.pool()).workers.get(worker)
        if found is not None and found.state is WorkerState.READY and not found.detail:
            return
        await asyncio.sleep(_LOOK_S)
    raise CliError(
        f"{worker} does not answer after its restart: `vramgate logs {worker}` shows why. The "
        "workers after it were not restarted."
    )
