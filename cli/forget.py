"""``vramgate users forget``: removes what is known of a user, for good."""

from __future__ import annotations

import asyncio
import ssl
import time
import uuid
from getpass import getuser
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.boot import LiveSettings, cluster_token, connect_ledger, redis_url
from cli.errors import CliError
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.store_engine import opened_store
from config.tls import trusting
from scheduler.ledger import Ledger, LedgerUnavailable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from cli.hosts import Hosts
    from store.outputs import Output, SqlOutputs

#: outputs of one kind that are asked for at a time
_MOST: Final = 5_000
#: how long the recorder is waited for, and between two looks, seconds
_PATIENCE_S: Final = 10.0
_LOOK_S: Final = 0.2


def forget(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Remove a user's jobs, prompts, outputs, uploads, settings and workflows, for good.

    Usage stays in the pool's sums, under no name. Deleted are the outputs' bytes on their hosts,
    too; bytes of uploads go within a day, and what Redis still holds of ended jobs with
    store.keep_for. The user may still come in: see `revoke`, or take it out of the config file.

    [bold]Example[/bold]: vramgate users forget anna
    """
    if not yes:
        typer.confirm(f"Remove everything of {name}? This cannot be undone", abort=True)
    ground = read_ground(config, data_dir)
    try:
        gone = asyncio.run(_forget(ground, name))
    except LedgerUnavailable as error:
        raise CliError(f"nothing was removed: {error}") from error
    for kind, count in sorted(gone.items()):
        print(f"{count:8} {kind}")
    if any(gone.values()):
        print(f"{name} is forgotten")
    else:
        print(f"nothing was known of {name} (`vramgate users list` has the names)")


async def _forget(ground: Ground, name: str) -> dict[str, int]:
    live = LiveSettings(ground)
    ledger = connect_ledger(live(), redis_url(live(), ground.data_dir))
    try:
        token = cluster_token(live(), ground.data_dir)
        by = f"shell:{getuser()}"
        async with opened_store(ground, new=True) as engine:
            trusted = trusting(live().cluster)
            return await forget_everywhere(ledger, engine, name, by, token, trusted)
    finally:
        await ledger.close()


async def forget_everywhere(
    ledger: Ledger,
    engine: AsyncEngine,
    name: str,
    by: str,
    token: str,
    tls: ssl.SSLContext | None,
) -> dict[str, int]:
    """Remove what is known of a user from store, hosts and ledger; what was deleted, by kind.

    Args:
        ledger: of the pool.
        engine: the store, migrated.
        name: whom to forget.
        by: who asked, for the audit log.
        token: of the cluster.
        tls: whose certificates agents' endpoints are believed by.

    Raises:
        CliError: the user has unfinished jobs, or a recorder or a host is away; the message says
            what to do.
        LedgerUnavailable: nothing was removed.
    """
    from cli.hosts import Hosts
    from store.audit import SqlAudit
    from store.forgetting import NOBODY, forget_user
    from store.outputs import SqlOutputs

    if await ledger.remaining(name):
        raise CliError(
            f"{name} has unfinished jobs: cancel them (vramgate queue list --user {name}),"
            " then forget"
        )
    await wait_for_recorder(ledger)
    async with Hosts(await ledger.pool(), token, tls) as hosts:
        outputs = await delete_outputs(SqlOutputs(engine), hosts, name)
    gone = await forget_user(engine, name)
    audit = SqlAudit(engine, time.time, lambda: str(uuid.uuid4()))
    await audit.note(by, "forget", f"user:{NOBODY}", gone)
    await _forget_in_redis(ledger, name)
    return {**gone, "files on workers": outputs}


async def wait_for_recorder(ledger: Ledger, patience_s: float = _PATIENCE_S) -> None:
    """Wait until all that has happened by now is stored: what comes later would be there for good.

    Raises:
        CliError: it is not, and does not come to be.
    """
    now_ms = (await ledger.pool()).now_ms
    until = time.monotonic() + patience_s
    while any(
        stream.oldest_ms is not None and stream.oldest_ms <= now_ms
        for stream in await ledger.streams()
    ):
        if time.monotonic() >= until:
            raise CliError(
                "the recorder has yet to store what happened last, and would bring some of it back:"
                " start it (vramgate recorder), then forget again"
            )
        await asyncio.sleep(_LOOK_S)


async def delete_outputs(outputs: SqlOutputs, hosts: Hosts, user: str) -> int:
    """Delete all of a user's outputs where they lie; how many there were.

    Raises:
        CliError: a host is away, and nobody would ever delete what it has.
    """
    deleted = 0
    for kind in ("output", "temp"):
        while some := await outputs.of_user(user, kind, _MOST):
            for output in some:
                await _delete(outputs, hosts, output)
                deleted += 1
    return deleted


async def _delete(outputs: SqlOutputs, hosts: Hosts, output: Output) -> None:
    from cli.hosts import HostAway

    try:
        await hosts.delete(output.record)
    except HostAway as error:
        raise CliError(
            f"{error}; its files of this user would stay: start it, then forget again"
        ) from error
    await outputs.forget(output)


async def _forget_in_redis(ledger: Ledger, user: str) -> None:
    await ledger.hide(user, None)
    await ledger.stamp(user)
