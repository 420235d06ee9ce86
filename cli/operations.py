"""What the dashboard may do for admins, done the way commands do it."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncEngine

from cli.errors import CliError
from cli.forget import forget_everywhere
from cli.options import Ground
from cli.worker_log import worker_log
from config.origins import origin_of
from config.tls import trusting
from dashboard.operations import NotDone, Operations
from scheduler.ledger import Ledger


def operations(ground: Ground, ledger: Ledger, engine: AsyncEngine, token: str) -> Operations:
    """Of one gateway.

    Args:
        ground: its settings.
        ledger: of the pool.
        engine: the store, migrated.
        token: of the cluster.
    """

    async def log_of(worker: str, lines: int) -> str:
        tls = trusting(ground.source.current().cluster)
        try:
            return await worker_log(ledger, token, tls, worker, lines)
        except CliError as error:
            raise NotDone(str(error)) from error

    async def forget(user: str, by: str) -> Mapping[str, int]:
        tls = trusting(ground.source.current().cluster)
        try:
            return await forget_everywhere(ledger, engine, user, by, token, tls)
        except CliError as error:
            raise NotDone(str(error)) from error

    return Operations(
        base=ground.source.current,
        origin=lambda path: origin_of(ground.source.loaded, path),
        worker_log=log_of,
        forget=forget,
    )
