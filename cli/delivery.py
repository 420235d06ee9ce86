"""Copies outputs to a studio's folder (``files.deliver``): run every few seconds as an RQ job.

The store says what is to be delivered and what was, so a copy that fails is tried again for
a week, and no prompt ever waits for a slow share. Nothing that lies there is overwritten.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from cli.boot import LiveSettings, cluster_token, connect_ledger, redis_url, store_url
from cli.hosts import HostAway, Hosts
from cli.options import read_ground
from cli.shelf import Shelf, Unfit
from config.files import fixed_root
from config.tls import trusting
from store.engine import open_engine
from store.migrate import migrate
from store.outputs import Output, SqlOutputs

_log = structlog.get_logger()

#: a copy is tried for so long, from the end of its job on
RETRIED_MS: Final = 7 * 86_400_000
#: files of one run; the next goes on
_MOST: Final = 500


def deliver(config: str, data_dir: str) -> int:
    """The job.

    Args:
        config: path of the config file, "" for none.
        data_dir: the data folder.

    Returns:
        How many files were delivered.

    Raises:
        LedgerUnavailable: nobody says where the hosts are; the next run does it.
        CliError: there is no cluster token.
    """
    return asyncio.run(_deliver(Path(config) if config else None, Path(data_dir)))


async def _deliver(config: Path | None, data_dir: Path) -> int:
    ground = read_ground(config, data_dir)
    live = LiveSettings(ground)
    template = live().files.deliver
    if template is None:
        return 0
    engine = open_engine(store_url(live(), data_dir))
    ledger = connect_ledger(live(), redis_url(live(), data_dir))
    try:
        await migrate(engine)
        now_ms = int(time.time() * 1000)
        outputs = SqlOutputs(engine)
        waiting = await outputs.undelivered(now_ms - RETRIED_MS, _MOST)
        if not waiting:
            return 0
        async with Hosts(
            await ledger.pool(), cluster_token(live(), data_dir), trusting(live().cluster)
        ) as hosts:
            return await hand_over(waiting, template, outputs, hosts, now_ms)
    finally:
        await ledger.close()
        await engine.dispose()


async def hand_over(
    waiting: Sequence[Output], template: str, outputs: SqlOutputs, hosts: Hosts, now_ms: int
) -> int:
    """Copy each file; counts those that were. What fails is logged and stays waiting."""
    shelf, done = Shelf(fixed_root(template)), 0
    for output in waiting:
        try:
            done += await _copy(output, template, shelf, hosts)
        except (HostAway, Unfit, OSError) as error:
            _log.warning(
                "delivery_failed",
                user=output.user,
                file=output.record.filename,
                detail=f"{type(error).__name__}: {error}",
            )
            continue
        await outputs.note_delivered(output, now_ms)
    if done:
        _log.info("outputs_delivered", files=done)
    return done


async def _copy(output: Output, template: str, shelf: Shelf, hosts: Hosts) -> bool:
    """Whether there was something to copy."""
    folder = shelf.folder(template, output)
    with shelf.part(folder) as part:
        if not await hosts.fetch(output.record, part):
            _log.warning("delivery_gone", user=output.user, file=output.record.filename)
            return False
        shelf.place(part, folder, output.record.filename)
    return True
