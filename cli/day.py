"""Fills an empty store with a simulated day, so that pages have something to show."""

from __future__ import annotations

import time

from sqlalchemy import func, select

from cli.boot import store_url
from cli.options import Ground
from simulator.day.write import write_day
from store import schema
from store.engine import open_engine
from store.migrate import migrate

#: always the same studio
_SEED = 1


async def fill_with_a_day(ground: Ground) -> str:
    """Write the day that ends now, unless the store has jobs already.

    Returns:
        A sentence on what was done.
    """
    url = store_url(ground.source.current(), ground.data_dir)
    engine = open_engine(url)
    try:
        await migrate(engine)
        async with engine.connect() as connection:
            there = await connection.scalar(select(func.count()).select_from(schema.jobs))
        if there:
            return "the store has jobs already: no simulated day was written into it"
        played = await write_day(engine, _SEED, int(time.time() * 1000))
    finally:
        await engine.dispose()
    return f"a simulated day was written into the store: {len(played.jobs)} jobs of six users"
