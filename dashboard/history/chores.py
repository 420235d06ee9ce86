"""Regular work on the history, run by ``vramgate jobs``: safe to repeat and to kill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import fields

import structlog

from dashboard.history.account import account
from dashboard.history.samples import fold_gpus, fold_pool, fold_waits
from store import history_schema as schema
from store.engine import open_engine
from store.expiry import Kept, expire
from store.folding import STEPS, WAIT_STEPS, add_up_nodes, fold_samples
from store.migrate import migrate

_log = structlog.get_logger()


def add_up(store_url: str) -> dict[str, int]:
    """Each minute: samples of longer steps, and usage up to now.

    Args:
        store_url: as in ``store.url``.

    Returns:
        Rows written, by kind.
    """
    return asyncio.run(_add_up(store_url, int(time.time() * 1000)))


def tidy(store_url: str, keep: Mapping[str, float | None]) -> None:
    """Each hour: what nodes took in each hour; then delete what has been kept long enough.

    Args:
        store_url: as in ``store.url``.
        keep: seconds by the name of a field of ``Kept`` without its ``_ms``; None: for good.
    """
    asyncio.run(_tidy(store_url, keep, int(time.time() * 1000)))


async def _add_up(store_url: str, now_ms: int) -> dict[str, int]:
    engine = open_engine(store_url)
    try:
        await migrate(engine)  # nobody else may have been here yet
        written = {
            "gpus": await fold_samples(engine, schema.gpu_samples, STEPS, fold_gpus),
            "pool": await fold_samples(engine, schema.pool_samples, STEPS, fold_pool),
            "waits": await fold_samples(engine, schema.waits, WAIT_STEPS, fold_waits),
            "usage": await account(engine, now_ms),
        }
    finally:
        await engine.dispose()
    _log.debug("history_added_up", **written)
    return written


async def _tidy(store_url: str, keep: Mapping[str, float | None], now_ms: int) -> None:
    engine = open_engine(store_url)
    try:
        await migrate(engine)
        await add_up_nodes(engine, now_ms)
        await expire(engine, kept_until(keep, now_ms))
    finally:
        await engine.dispose()
    _log.info("history_tidied")


def kept_until(keep: Mapping[str, float | None], now_ms: int) -> Kept:
    """Spans in seconds as times before which things are deleted."""
    spans = {field.name: keep[field.name.removesuffix("_ms")] for field in fields(Kept)}
    befores = {
        name: None if span is None else now_ms - int(span * 1000) for name, span in spans.items()
    }
    return Kept(**befores)  # type: ignore[arg-type]
