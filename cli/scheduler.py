"""``vramgate scheduler``: decides what runs where and when."""

from __future__ import annotations

import os
import secrets
import socket
import time

from cli.boot import LiveSettings, check_layout, connect_ledger, redis_url, run_role, together
from cli.options import ConfigOption, DataDirOption, Ground, read_ground


def scheduler(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Admit queued jobs to workers. Any number may run; one leads, the others stand by.

    Needs redis.url (or a running `vramgate up` on the same --data-dir).

    [bold]Example[/bold]: vramgate scheduler --config vramgate.yaml
    """
    ground = read_ground(config, data_dir)
    run_role("scheduler", ground, lambda: schedule(ground))


async def schedule(ground: Ground) -> None:
    """Schedule until cancelled."""
    from scheduler.loop import SchedulerLoop

    settings = LiveSettings(ground)
    ledger = connect_ledger(settings(), redis_url(settings(), ground.data_dir))
    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    try:
        await check_layout(ledger)
        await together(
            SchedulerLoop(ledger, settings, owner, time.monotonic).run(), settings.follow(ledger)
        )
    finally:
        await ledger.close()
