"""``vramgate drain`` and ``undrain``: take workers out of service, and back."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import typer

from cli.options import ConfigOption, DataDirOption, read_ground
from cli.pool_calls import with_ledger, workers_of
from config.upkeep import YES, drain_path, drained
from scheduler.ledger import Ledger

_LOOK_S: Final = 0.5
#: what an agent tells of a worker that it has drained
_DONE: Final = "drained"

Name = Annotated[str, typer.Argument(metavar="WORKER|AGENT", help="As `vramgate status` shows it.")]


def drain(
    name: Name,
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when the last job there has ended.")
    ] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Let a worker, or a host's, finish its job, take no other, and stop; until `undrain`.

    [bold]Example[/bold]: vramgate drain studio1 --wait
    """
    print(with_ledger(read_ground(config, data_dir), lambda ledger: _drain(ledger, name, wait)))


def undrain(name: Name, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Start what `drain` stopped, and let it take jobs again.

    [bold]Example[/bold]: vramgate undrain studio1
    """
    print(with_ledger(read_ground(config, data_dir), lambda ledger: _undrain(ledger, name)))


async def _drain(ledger: Ledger, name: str, wait: bool) -> str:
    workers = workers_of(await ledger.pool(), name)
    await ledger.override({drain_path(name): YES})
    # agents tell it in their own time
    while wait and not await _are_drained(ledger, workers):  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_S)
    return f"{', '.join(workers)}: drained" if wait else f"{', '.join(workers)}: draining"


async def _are_drained(ledger: Ledger, workers: list[str]) -> bool:
    known = (await ledger.pool()).workers
    return all(one not in known or known[one].detail == _DONE for one in workers)


async def _undrain(ledger: Ledger, name: str) -> str:
    _, overrides = await ledger.overrides()
    workers = workers_of(await ledger.pool(), name)
    mine = {drain_path(one): None for one in (name, *workers)}
    await ledger.override(dict(mine))
    agents = {one.agent for one in (await ledger.pool()).workers.values() if one.id in workers}
    still = sorted(agents & drained(overrides) - {name})
    more = f"; their agent {', '.join(still)} is still drained" if still else ""
    return f"{', '.join(workers)}: back in service{more}"
