"""What would have been: played by ``vramgate jobs``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from simulator.world.what_if import CannotChange, Recorded, answer
from simulator.world.world import WorldError
from store.change import read_change
from store.engine import open_engine
from store.migrate import migrate
from store.past import SqlPast
from store.what_ifs import Progress, SqlWhatIfs, WhatIf

_log = structlog.get_logger()
#: Jobs that are played at most: about ten seconds of a processor for each thousand, all sides.
MOST_JOBS: Final = 5000


def work_off(store_url: str, id_: str) -> str:
    """The job: play it, and write what came of it. Safe to repeat and to kill.

    Args:
        store_url: as in ``store.url``.
        id_: of the question.

    Returns:
        How it ended.
    """
    return asyncio.run(_work_off(store_url, id_))


async def _work_off(store_url: str, id_: str) -> str:
    engine = open_engine(store_url)
    try:
        await migrate(engine)
        return await play_one(engine, id_, time.time)
    finally:
        await engine.dispose()


async def play_one(engine: AsyncEngine, id_: str, clock: Callable[[], float]) -> str:
    """Play one question over an open store; ``clock``: seconds since the epoch.

    Returns:
        How it ended; "gone": there was nothing to play.
    """
    kept = SqlWhatIfs(engine)
    one = await kept.one(id_)
    if one is None or one.state in (Progress.DONE, Progress.FAILED):
        return "gone"
    await kept.start(id_, int(clock() * 1000))
    try:
        found = await _answer(engine, one)
    except Exception as error:
        # whoever asked shall not wait for what has broken off
        problem = f"a mistake in vramgate ({type(error).__name__}); the log of the jobs has more"
        await kept.failed(id_, int(clock() * 1000), problem)
        raise
    now_ms = int(clock() * 1000)
    if isinstance(found, str):
        await kept.failed(id_, now_ms, found)
        return Progress.FAILED.value
    await kept.done(id_, now_ms, found)
    _log.info("what_if_played", id=id_, jobs=found["jobs"])
    return Progress.DONE.value


async def _answer(engine: AsyncEngine, one: WhatIf) -> dict[str, Any] | str:
    """All sides, or why there are none."""
    past = SqlPast(engine)
    jobs = await past.jobs(one.from_ms, one.until_ms, MOST_JOBS + 1)
    gpus = await past.gpus(one.from_ms, one.until_ms)
    if not jobs or not gpus:
        return "nothing ran on a GPU in this time, or its samples are gone"
    recorded = Recorded(
        jobs[:MOST_JOBS],
        gpus,
        await past.foreign(one.from_ms, one.until_ms),
        await past.away(one.from_ms, one.until_ms),
    )
    try:
        found = await asyncio.to_thread(answer, recorded, one.rules, read_change(one.change))
    except CannotChange as error:
        return str(error)
    except WorldError as error:
        return f"not all jobs can run on these GPUs: {error}"
    return found | {"cut": len(jobs) > MOST_JOBS, "until_ms": recorded.jobs[-1].submitted_ms}
