"""Reads a stream batch by batch for as long as it runs, and waits for whatever is away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from scheduler.ledger import LedgerUnavailable

_log = structlog.get_logger()

#: Least time between two batches that are not full: one commit for each second.
BATCH_SECONDS: Final = 1.0
_BACK_OFF_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
#: SQLSTATE classes that mean "this value", not "this server": data, integrity, size of an index row.
_VALUE_ERRORS: Final = frozenset({"22", "23", "54"})
T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


async def consume(
    what: str, once: Callable[[], Awaitable[bool]], clock: Callable[[], float], sleep: Sleep
) -> None:
    """Take batches until cancelled. A ledger or store out of reach is waited for.

    Args:
        what: names the work in the log.
        once: takes one batch; True: it was full, more is waiting.
        clock: any seconds that grow.
        sleep: waits for so many seconds.
    """
    failures = 0
    while True:
        began = clock()
        try:
            full = await once()
        except (SQLAlchemyError, OSError, LedgerUnavailable) as error:
            pause = _BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)]
            failures += 1
            # The class only: a statement's message would carry its values.
            _log.warning("recorder_waits", what=what, error=type(error).__name__, seconds=pause)
            await sleep(pause)
            continue
        failures = 0
        if not full:
            await sleep(max(0.0, BATCH_SECONDS - (clock() - began)))


async def store_or_skip(
    items: Sequence[T],
    store: Callable[[Sequence[T]], Awaitable[None]],
    tell: Callable[[T], dict[str, Any]],
) -> None:
    """Store items together; where one has a value that the store can never take, without it.

    It must not hold up all others for ever. ``tell``: what the log says of one.

    Raises:
        DBAPIError: the store does not take anything now.
    """
    try:
        await store(items)
    except DBAPIError as error:
        if not _blames_value(error):
            raise
        if len(items) > 1:
            for item in items:
                await store_or_skip([item], store, tell)
        elif items:
            _log.error("not_recorded", error=type(error).__name__, **tell(items[0]))


def _blames_value(error: DBAPIError) -> bool:
    if isinstance(error, (DataError, IntegrityError)):
        return True
    state = getattr(error.orig, "sqlstate", None) or ""
    return state[:2] in _VALUE_ERRORS
