"""``vramgate recorder``: writes what happened into the store."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time

from cli.boot import (
    LiveSettings,
    check_layout,
    connect_ledger,
    redis_url,
    run_role,
    store_url,
)
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.sinks import Part, sinks


def recorder(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Record transitions, what probes told, and samples of GPUs into SQLite or PostgreSQL.

    It also looks at the rules of alerts; where several recorders run, one of them does.

    Needs redis.url (or a running `vramgate up` on the same --data-dir) and the store of the
    gateways. While the store is away, events wait in Redis.

    [bold]Example[/bold]: vramgate recorder --config vramgate.yaml
    """
    ground = read_ground(config, data_dir)
    run_role("recorder", ground, lambda: record(ground))


async def record(ground: Ground) -> None:
    """Record until cancelled."""
    from dashboard.alerts.watch import Watch
    from dashboard.history.pool_recorder import PoolRecorder
    from dashboard.history.probe_recorder import ProbeRecorder
    from dashboard.history.recorder import Recorder
    from store.engine import open_engine
    from store.migrate import migrate

    settings = ground.source.current()
    engine = open_engine(store_url(settings, ground.data_dir))
    ledger = connect_ledger(settings, redis_url(settings, ground.data_dir))
    try:
        await migrate(engine)
        await check_layout(ledger)
        live = LiveSettings(ground)
        # The same name after a restart: what was delivered and not stored comes again.
        consumer = f"recorder-{socket.gethostname()}"
        outside = sinks(settings, engine)
        parts: tuple[Part, ...] = (
            Recorder(ledger, engine, time.monotonic, consumer=consumer, tell=outside.jobs),
            ProbeRecorder(
                ledger,
                engine,
                time.monotonic,
                consumer=consumer,
                inputs=settings.history.inputs,
            ),
            PoolRecorder(
                ledger,
                engine,
                time.time,
                silent_s=settings.scheduler.heartbeat,
                tell=outside.samples,
            ),
            Watch(ledger, engine, live, lambda: secrets.token_hex(12)),
            *outside.parts,
        )
        async with asyncio.TaskGroup() as tasks:
            for part in parts:
                tasks.create_task(part.run())
            tasks.create_task(live.follow(ledger))
    finally:
        await ledger.close()
        await engine.dispose()
