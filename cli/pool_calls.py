"""What commands about workers share: one question to the ledger, one to an agent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cli.boot import connect_ledger, redis_url
from cli.errors import CliError
from cli.options import Ground
from scheduler.ledger import Ledger, LedgerUnavailable, Pool

_T = TypeVar("_T")


def with_ledger(ground: Ground, do: Callable[[Ledger], Awaitable[_T]]) -> _T:
    """Do it with the pool's ledger.

    Raises:
        CliError: the ledger does not answer.
    """

    async def run() -> _T:
        settings = ground.source.current()
        ledger = connect_ledger(settings, redis_url(settings, ground.data_dir))
        try:
            return await do(ledger)
        finally:
            await ledger.close()

    try:
        return asyncio.run(run())
    except LedgerUnavailable as error:
        raise CliError(str(error)) from error


def workers_of(pool: Pool, name: str) -> list[str]:
    """The worker of that name, or all workers of the agent of that name.

    Raises:
        CliError: there is neither.
    """
    if name in pool.workers:
        return [name]
    found = sorted(one.id for one in pool.workers.values() if one.agent == name)
    if found:
        return found
    known = ", ".join(sorted(pool.workers)) or "none"
    raise CliError(f"no worker and no agent is called {name}; workers: {known}")
