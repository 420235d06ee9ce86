"""Sends the messages about alerts: run every few seconds as an RQ job (``cli.jobs``)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from cli.boot import store_url
from cli.options import read_ground
from dashboard.alerts.delivery import Delivery
from store.alert_messages import SqlAlertMessages
from store.engine import open_engine
from store.migrate import migrate


def tell(config: str, data_dir: str) -> int:
    """The job: read the receivers anew, and send what is due.

    Args:
        config: path of the config file, "" for none: secrets are in it, and must not lie in Redis.
        data_dir: the data folder.

    Returns:
        How many messages were sent.
    """
    return asyncio.run(_tell(Path(config) if config else None, Path(data_dir)))


async def _tell(config: Path | None, data_dir: Path) -> int:
    settings = read_ground(config, data_dir).source.current()
    engine = open_engine(store_url(settings, data_dir))
    try:
        await migrate(engine)  # nobody else may have been here yet
        return await Delivery(SqlAlertMessages(engine), settings.alerts, time.time).run()
    finally:
        await engine.dispose()
