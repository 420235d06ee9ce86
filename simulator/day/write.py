"""Writes a studio's days into a store, as the recorder and the regular work would have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.advice.chores import find
from dashboard.history.account import account
from dashboard.history.samples import fold_gpus, fold_pool, fold_waits
from simulator.day.alerts import write_alerts
from simulator.day.arrivals import post
from simulator.day.play import FOREIGN_BYTES, Days, Mishap, play
from simulator.day.rows import Row, rows_of
from simulator.day.studio import settings
from store import history_schema as history
from store import schema
from store.accounts import RECORDED_MARK
from store.engine import writing
from store.folding import STEPS, WAIT_STEPS, add_up_nodes, fold_samples

_HOUR_S: Final = 3600
_DAY_MS: Final = 24 * _HOUR_S * 1000


def play_days(seed: int, until_ms: int, *, jobs: int = 600, days: int = 1) -> Days:
    """The days that end at a time (a whole minute), played and not written.

    Args:
        seed: the same seed and end give the same days.
        until_ms: ms since the epoch.
        jobs: posted in an ordinary day; weekends have few.
        days: how many.
    """
    until_ms -= until_ms % 60_000
    from_ms = until_ms - days * _DAY_MS
    posted = post(seed, from_ms, days, jobs)
    return play(posted, from_ms, until_ms, _mishaps(from_ms, until_ms))


async def write_day(
    engine: AsyncEngine, seed: int, until_ms: int, *, jobs: int = 600, days: int = 1
) -> Days:
    """Fill a migrated, empty store; arguments as of ``play_days``.

    Returns:
        What was written, for those who want to compare.
    """
    played = play_days(seed, until_ms, jobs=jobs, days=days)
    rows = rows_of(played)
    async with writing(engine) as connection:
        for table, some in _tables(played, rows):
            if some:
                await connection.execute(table.insert(), some)
        mark = {"name": RECORDED_MARK, "at_ms": played.until_ms}
        await connection.execute(history.marks.insert(), [mark])
    await fold_samples(engine, history.gpu_samples, STEPS, fold_gpus)
    await fold_samples(engine, history.pool_samples, STEPS, fold_pool)
    await fold_samples(engine, history.waits, WAIT_STEPS, fold_waits)
    await account(engine, played.until_ms)
    await add_up_nodes(engine, played.until_ms)
    await write_alerts(engine, played, settings())
    await find(engine, played.until_ms)
    return played


def _tables(played: Days, rows: dict[str, list[Row]]) -> Iterable[tuple[Table, list[Row]]]:
    yield schema.jobs, rows["jobs"]
    yield schema.attempts, rows["attempts"]
    yield history.prompt_runs, rows["prompts"]
    yield history.node_runs, rows["nodes"]
    yield history.model_moves, rows["moves"]
    yield history.curves, rows["curves"]
    yield history.gaps, rows["gaps"]
    yield history.gpu_samples, played.gpu_samples
    yield history.pool_samples, played.pool_samples
    yield history.waits, played.waits


def _mishaps(from_ms: int, until_ms: int) -> list[Mishap]:
    """On each day: other programs on two cards, and a host that is away in the evening."""
    first_s = from_ms // 1000 % (24 * _HOUR_S)
    found = []
    for day in range((until_ms - from_ms) // _DAY_MS):
        for hour, minutes, agent, gpu in (
            (21.3, 9, "studio-a", ""),
            (10.2, 80, "", "GPU-a1"),
            (16.0, 235, "", "GPU-a1"),
            (17.3, 130, "", "GPU-b0"),
        ):
            begin = (hour * _HOUR_S - first_s) % (24 * _HOUR_S) + day * 24 * _HOUR_S
            found.append(
                Mishap(begin, begin + minutes * 60, agent, gpu, FOREIGN_BYTES if gpu else 0)
            )
    return found
