"""``vramgate logs``: the end of a worker's log."""

from __future__ import annotations

import ssl
from typing import Annotated, Final
from urllib.parse import quote

import aiohttp
import typer
from aiohttp import hdrs

from cli.boot import cluster_token
from cli.errors import CliError
from cli.options import ConfigOption, DataDirOption, read_ground
from cli.pool_calls import with_ledger
from config.tls import trusting
from scheduler.ledger import Ledger

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30.0, sock_connect=5.0)


def logs(
    worker: Annotated[str, typer.Argument(help="As `vramgate status` shows it.")],
    tail: Annotated[int, typer.Option("--tail", min=1, max=2000, help="So many lines.")] = 200,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show what a ComfyUI that vramgate started has written last; people's texts are left out.

    [bold]Example[/bold]: vramgate logs studio1-0 --tail 50
    """
    ground = read_ground(config, data_dir)
    settings = ground.source.current()

    async def ask(ledger: Ledger) -> str:
        # only now: where nothing runs there is no token either, and that is not what is wrong
        token, tls = cluster_token(settings, ground.data_dir), trusting(settings.cluster)
        return await worker_log(ledger, token, tls, worker, tail)

    print(with_ledger(ground, ask), end="")


async def worker_log(
    ledger: Ledger, token: str, tls: ssl.SSLContext | bool, worker: str, tail: int
) -> str:
    """The last lines of a worker's log, without people's texts.

    Raises:
        CliError: there is no such worker, or its host does not give it.
    """
    pool = await ledger.pool()
    found = pool.workers.get(worker)
    agent = pool.agents.get(found.agent) if found is not None else None
    if agent is None:
        raise CliError(f"no worker is called {worker}; workers: {', '.join(sorted(pool.workers))}")
    url = f"{agent.url.rstrip('/')}/v1/workers/{quote(worker, safe='')}/log"
    headers = {hdrs.AUTHORIZATION: f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as session,
            session.get(url, params={"tail": str(tail)}, allow_redirects=False, ssl=tls) as answer,
        ):
            text = await answer.text()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise CliError(f"the agent {agent.id} at {agent.url} does not answer: {error}") from error
    if answer.status != 200:
        raise CliError(f"the agent {agent.id}: {text}")
    return text
